"""The repository's own manifests, for tests that look at all of them."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from closedloop.manifests import Manifest, load

MANIFESTS = Path(__file__).parents[2] / "manifests"

Document = Mapping[str, Any]

# How the first line of a file begins that one platform alone uses; the reason follows.
CLUSTER_ONLY = "# Cluster only: "


@cache
def objects() -> tuple[Manifest, ...]:
    """Every object of the repository, those of overlays apart."""
    return tuple(
        one for one in load(MANIFESTS, "") if not one.source.startswith("manifests/overlays/")
    )


def of(*kinds: str) -> Sequence[tuple[Manifest, Document]]:
    """The objects of some kinds, with their documents; there is one of each, else AssertionError.

    A loop over a kind that the repository has not would assert nothing.
    """
    found = [(one, one.document) for one in objects() if one.kind in kinds]
    missing = set(kinds) - {one.kind for one, _ in found}
    assert not missing, f"manifests/ has no {', '.join(sorted(missing))}"
    return found


def first_line(one: Manifest) -> str:
    return (MANIFESTS.parent / one.source).read_text().splitlines()[0]


def on_both_platforms() -> list[Manifest]:
    return [one for one in objects() if not first_line(one).startswith(CLUSTER_ONLY)]


def on_clusters_only() -> list[Manifest]:
    return [one for one in objects() if first_line(one).startswith(CLUSTER_ONLY)]
