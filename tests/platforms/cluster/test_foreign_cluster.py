"""`up` and `down` on a cluster of others: it is afterwards what it was before.

Needs a Kubernetes of which `$KUBECONFIG` names the context that is current, which holds nothing of
ours; charts and images come from `$CLOSEDLOOP_OFFLINE`, `$CLOSEDLOOP_REGISTRY` or the network.
"""

import os
from collections.abc import Iterator

import pytest
from kubernetes import config
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from closedloop.notebook.waiting import until
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError, NoSuchKind
from closedloop.platforms.cluster.inventory import NAME
from closedloop.platforms.cluster.platform import ClusterPlatform, from_environment
from closedloop.suite.setup import install_everything

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]

# What comes and goes by itself on every cluster.
_VOLATILE = {"Event", "ComponentStatus", "NodeMetrics", "PodMetrics", "EndpointSlice", "Lease"}
_VOLATILE |= {"CertificateSigningRequest"}  # gone an hour after it was answered
# What others have there, in a namespace of a name that we use too.
_THEIRS = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": "monitoring"},
        "data": {"a": "1"},
    },
)

Key = tuple[str, str, str, str]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def platform(api: Api) -> Iterator[ClusterPlatform]:
    """On the current context, where nothing of ours is and something of others."""
    if api.get("ConfigMap", NAME, "default") or api.get("Namespace", "monitoring"):
        pytest.skip("something is installed there: take a cluster that is empty")
    for each in _THEIRS:
        api.create(each)
    _, current = config.list_kube_config_contexts(os.environ["KUBECONFIG"])
    platform = from_environment(context=current["name"])
    yield platform
    platform.down()
    api.delete("Namespace", "monitoring")


def _everything(api: Api) -> dict[Key, str]:
    """The uid of every object of the cluster."""
    found: dict[Key, str] = {}
    resources = api.connection._discovery().resources  # every kind there is
    for group in resources.search(preferred=True):
        kind, version = getattr(group, "kind", ""), getattr(group, "group_version", "")
        verbs = getattr(group, "verbs", None) or ()
        if not kind or kind.endswith("List") or kind in _VOLATILE or "list" not in verbs:
            continue
        try:
            listed, _ = api.list(kind, api_version=version)
        except (ApiError, NoSuchKind, ResourceNotFoundError):
            continue
        for each in listed:
            own = each["metadata"]
            found[version, kind, own.get("namespace", ""), own["name"]] = own["uid"]
    return found


def test_down_leaves_a_cluster_of_others_as_it_was(api: Api, platform: ClusterPlatform) -> None:
    before = _everything(api)
    assert ("v1", "ConfigMap", "monitoring", "theirs") in before
    install_everything(platform, lambda *_: None)
    platform.apply("metrics-server", "models/sklearn.yaml")
    platform.wait("SeldonDeployment", "sklearn", "seldon", timeout=600)
    during = _everything(Api())
    assert len(during) > len(before) + 200
    platform.down()
    after = until(
        lambda: _everything(Api()),
        lambda now: now.keys() == before.keys(),
        what="nothing but what was there before",
        timeout=120,
        every=5,
        diagnose=lambda: "\n".join(map(str, sorted(set(_everything(Api())) ^ set(before)))),
    )
    changed = {key for key, uid in after.items() if before[key] != uid}
    # Its name is that of a pod or certificate which the cluster itself makes anew.
    assert not {key for key in changed if key[1] != "Pod"}
    assert platform.status() == []
