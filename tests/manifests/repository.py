"""The repository's own manifests, for tests that look at all of them."""

from collections.abc import Iterator, Mapping
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


def of(*kinds: str) -> Iterator[tuple[Manifest, Document]]:
    """Those of some kinds, with what they say."""
    return ((one, one.document) for one in objects() if one.kind in kinds)


def first_line(one: Manifest) -> str:
    return (MANIFESTS.parent / one.source).read_text().splitlines()[0]


def on_both_platforms() -> list[Manifest]:
    return [one for one in objects() if not first_line(one).startswith(CLUSTER_ONLY)]


def on_clusters_only() -> list[Manifest]:
    return [one for one in objects() if first_line(one).startswith(CLUSTER_ONLY)]
