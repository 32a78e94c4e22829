import tomllib

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
