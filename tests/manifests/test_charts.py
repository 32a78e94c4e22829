"""What the pinned charts and all manifests put into pods; charts only where they are at hand."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.manifests import Manifest, yaml_documents
from closedloop.platforms.cluster.helm import Helm
from closedloop.platforms.cluster.versions import Chart
from tests.manifests.charts import archive, at_hand, rendered, upstream
from tests.manifests.repository import MANIFESTS, objects

CHARTS = at_hand()
needs_charts = pytest.mark.skipif(not CHARTS, reason="no helm, or no chart of an earlier run")
charts = pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.release)


def containers(thing: Any) -> Iterator[Mapping[str, Any]]:
    """Every container of an object, wherever it is, those of custom resources included."""
    if isinstance(thing, list):
        for each in thing:
            yield from containers(each)
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            if key in {"containers", "initContainers"} and isinstance(value, list):
                yield from (each for each in value if isinstance(each, Mapping))
            yield from containers(value)


def is_pulled_always(container: Mapping[str, Any]) -> bool:
    """By its policy, or, where that is left to the API server, by an image without a fixed tag."""
    image = str(container.get("image", ""))
    policy = container.get("imagePullPolicy")
    if policy:
        return bool(policy == "Always")
    if "@" in image:
        return False
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return bool(image) and (not colon or tag == "latest")


@pytest.mark.parametrize(
    ("container", "always"),
    [
        ({"image": "auto"}, True),
        ({"image": "a/b:latest"}, True),
        ({"image": "registry:5000/b"}, True),
        ({"image": "a/b:1", "imagePullPolicy": "Always"}, True),
        ({"image": "auto", "imagePullPolicy": "IfNotPresent"}, False),
        ({"image": "a/b:1"}, False),
        ({"image": "a/b@sha256:01"}, False),
        ({"name": "patched by its name"}, False),
    ],
)
def test_when_a_cluster_pulls_an_image_each_time(
    container: Mapping[str, Any], always: bool
) -> None:
    assert is_pulled_always(container) is always


@pytest.mark.parametrize("manifest", objects(), ids=lambda one: one.source)
def test_no_pod_of_ours_pulls_an_image_that_is_there(manifest: Manifest) -> None:
    assert not [each for each in containers(manifest.document) if is_pulled_always(each)]


@needs_charts
@charts
def test_no_pod_of_a_chart_pulls_an_image_that_is_there(chart: Chart) -> None:
    found = [
        each
        for document in yaml_documents(rendered(chart))
        if isinstance(document, dict) and document.get("kind") != "CustomResourceDefinition"
        for each in containers(document)
        if is_pulled_always(each)
    ]
    assert not found


@pytest.mark.parametrize("file", upstream(), ids=lambda file: file.name)
def test_no_pod_of_an_upstream_manifest_pulls_an_image_that_is_there(file: Path) -> None:
    found = list(containers(yaml_documents(file.read_text("utf-8"))))
    assert not [each for each in found if is_pulled_always(each)]


def test_the_gateways_image_without_a_tag_is_not_pulled() -> None:
    values = yaml.safe_load((MANIFESTS / "istio/values-gateway.yaml").read_text())
    assert values["imagePullPolicy"] == "IfNotPresent"


@needs_charts
@charts
def test_the_definitions_of_a_chart_can_be_read(chart: Chart) -> None:
    file = archive(chart)
    assert file is not None
    shown = Helm().definitions(file)
    assert all(name.count(".") >= 2 for name in shown)
    if chart.chart == "kube-prometheus-stack":
        assert "alertmanagerconfigs.monitoring.coreos.com" in shown
