"""The platforms that the contract is asked of: the embedded one, and one that KUBECONFIG names."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from closedloop.platforms import connect
from closedloop.platforms.protocol import Platform

NAMESPACE = "closedloop-contract"
_OF_THE_CONTRACT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": NAMESPACE},
}

_BOTH = [
    pytest.param("embedded", marks=[pytest.mark.embedded, pytest.mark.xdist_group("installed")]),
    pytest.param(
        "cluster",
        marks=[
            pytest.mark.cluster,
            pytest.mark.skipif(
                not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
            ),
        ],
    ),
]


@pytest.fixture(scope="package", params=_BOTH)
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A platform with the parts that are needed and an empty namespace of the contract's.

    On a cluster the parts are there, or the tests are skipped.
    """
    embedded = request.param == "embedded"
    if embedded:
        platform: Platform = request.getfixturevalue("installed")
    else:
        platform = connect("cluster", context=os.environ.get("CLOSEDLOOP_CONTEXT"))
        if not {"SeldonDeployment", "Broker"} <= _kinds(platform):
            pytest.skip("the parts are not installed on this cluster")
    try:
        platform.apply("namespaces", _OF_THE_CONTRACT, "istio/gateway.yaml")
        yield platform
    finally:
        platform.delete(_OF_THE_CONTRACT)
        if embedded:
            platform.delete("models/sklearn.yaml", "models/outputs.yaml", "istio/gateway.yaml")


def _kinds(platform: Platform) -> set[str]:
    found = platform.objects("CustomResourceDefinition")
    return {each["spec"]["names"]["kind"] for each in found}  # type: ignore[index]  # plain JSON


@pytest.fixture
def empty(platform: Platform) -> Platform:
    """The platform, with nothing in the contract's namespace."""
    for kind in ("Trigger", "Broker", "Deployment", "Service", "ConfigMap"):
        made = [
            each
            for each in platform.objects(kind, NAMESPACE)
            if not each["metadata"].get("ownerReferences")  # type: ignore[attr-defined]  # plain JSON
            and "kube-root-ca" not in each["metadata"]["name"]  # type: ignore[index]  # plain JSON
        ]
        platform.delete(*made)
    return platform
