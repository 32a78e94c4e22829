import json
import re
import tomllib
from collections.abc import Iterator

import pytest

from closedloop.manifests import load_values
from closedloop.platforms.cluster.images import chart_images
from closedloop.platforms.embedded.monitoring.debian import _PACKAGES
from closedloop.platforms.parts import PARTS
from tests.manifests.repository import MANIFESTS

VERSIONS: dict[str, dict[str, dict[str, object]]] = load_values(MANIFESTS / "versions.yaml")  # type: ignore[assignment]  # plain YAML


def pins() -> set[str]:
    """Everything that is installed for one machine, as `package==version`."""
    project = tomllib.loads((MANIFESTS.parent / "pyproject.toml").read_text())["project"]
    models = MANIFESTS.parent / "docker" / "iris" / "requirements.txt"
    return {*project["dependencies"], *models.read_text().splitlines()}


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"monitoring"}))
def test_what_stands_in_on_one_machine_has_the_version_that_is_installed(part: str) -> None:
    entry = VERSIONS[part]["embedded"]
    assert f"{entry['package']}=={entry['version']}" in pins()


def test_debians_packages_are_those_that_are_unpacked() -> None:
    packages = VERSIONS["monitoring"]["embedded"]["packages"]
    assert packages == dict.fromkeys(_PACKAGES, "debian")


def test_the_executor_is_seldons_of_the_version_that_the_chart_has() -> None:
    dockerfile = (MANIFESTS.parent / "docker" / "executor" / "Dockerfile").read_text()
    version = VERSIONS["seldon-core"]["cluster"]["version"]
    assert f"FROM seldonio/seldon-core-executor:{version}\n" in dockerfile


def test_the_images_of_ours_that_charts_name_are_those_that_are_built() -> None:
    values = load_values(MANIFESTS / "seldon-core" / "values.yaml")
    assert list(chart_images(values)) == [str(VERSIONS["images"]["executor"])]


def versions(entry: object, name: str = "") -> Iterator[str]:
    """Every version of somebody else's that the file has."""
    if isinstance(entry, dict):
        for key, value in entry.items():
            if key not in {"images", "packages", "minimum", "maximum", "charts", "files"}:
                yield from versions(value, key)
    elif name in {"version", "kind"}:
        yield str(entry)
    elif name in {"node", "image", "source"}:
        (found,) = re.findall(r"(?:[:]|knative-v)(v?\d+\.\d+\.\d+)", str(entry))
        yield found


def test_every_version_is_looked_after() -> None:
    """By one of Renovate's expressions, which write a group as JavaScript does."""
    text = (MANIFESTS / "versions.yaml").read_text()
    managers = json.loads((MANIFESTS.parent / ".github" / "renovate.json").read_text())
    seen = []
    for manager in managers["customManagers"]:
        if "versions" in str(manager["managerFilePatterns"]):
            (pattern,) = manager["matchStrings"]
            for match in re.finditer(pattern.replace("(?<", "(?P<"), text):
                seen += re.findall(r"\bv?\d+\.\d+\.\d+", match.group().replace("knative-v", ""))
    assert sorted(seen) == sorted(versions(VERSIONS))
