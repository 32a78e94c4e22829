"""The platforms that the contract is asked of: the embedded one, and one that KUBECONFIG names."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms import connect
from closedloop.platforms.protocol import Platform
from tests.platforms.contract.objects import NAMESPACE, namespace

# What the contract needs of each: on a cluster it is there, or its tests are skipped.
NEEDED = ("istio", "seldon-core", "knative-eventing")

_BOTH = [
    pytest.param("embedded", marks=pytest.mark.embedded),
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
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """A platform with the parts that are needed and an empty namespace of the contract's."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "cluster":
            platform = connect("cluster", context=os.environ.get("CLOSEDLOOP_CONTEXT"))
            if not {"SeldonDeployment", "Broker"} <= _kinds(platform):
                pytest.skip("the parts are not installed on this cluster")
        else:
            platform = _embedded(tmp_path_factory.mktemp("contract") / "a home", patch)
        try:
            platform.apply("namespaces", namespace())
            for part in NEEDED if request.param == "embedded" else ():
                platform.install(part)
            platform.apply("istio/gateway.yaml")
            yield platform
        finally:
            if request.param == "embedded":
                platform.down()
            else:
                platform.delete(namespace())


def _embedded(home: Path, patch: pytest.MonkeyPatch) -> Platform:
    parts = parts_folder()  # what is installed once serves every run
    parts.mkdir(parents=True, exist_ok=True)
    home.mkdir()
    (home / "parts").symlink_to(parts)
    patch.setenv("CLOSEDLOOP_ROOT", str(checkout_root()))
    patch.setenv("CLOSEDLOOP_HOME", str(home))
    return connect("embedded", parent_pid=os.getpid())


def _kinds(platform: Platform) -> set[str]:
    found = platform.objects("CustomResourceDefinition")
    return {each["spec"]["names"]["kind"] for each in found}  # type: ignore[index]  # plain JSON


@pytest.fixture
def empty(platform: Platform) -> Iterator[Platform]:
    """The platform, with nothing in the contract's namespace before and after."""
    yield platform
    for kind in ("Trigger", "Broker", "Deployment", "Service", "ConfigMap"):
        made = [
            each
            for each in platform.objects(kind, NAMESPACE)
            if not each["metadata"].get("ownerReferences")  # type: ignore[attr-defined]  # plain JSON
            and "kube-root-ca" not in each["metadata"]["name"]  # type: ignore[index]  # plain JSON
        ]
        platform.delete(*made)
