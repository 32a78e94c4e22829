"""Who reaches whom, tried by pods on a real cluster whose network enforces policies.

The parts have to be installed there; the pods run our own image and are
removed with their namespace.
"""

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from closedloop.manifests import load
from closedloop.notebook.waiting import until
from closedloop.paths import manifests_folder
from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster.versions import read

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]

# Prints which of the addresses given let one connect: refused and unanswered ones do not.
_PROGRAM = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=6).close()
        return True
    except OSError:
        return False

addresses = sys.argv[1:]
with ThreadPoolExecutor(len(addresses)) as pool:
    print(json.dumps(dict(zip(addresses, pool.map(reached, addresses)))), flush=True)
"""
# Port of a pod, by namespace and labels.
TARGETS = {
    "gateway": ("istio-system", "istio=ingressgateway", 80),
    "gateway's metrics": ("istio-system", "istio=ingressgateway", 15090),
    "istiod for proxies": ("istio-system", "app=istiod", 15012),
    "istiod without a certificate": ("istio-system", "app=istiod", 15010),
    "istiod's pages": ("istio-system", "app=istiod", 8080),
    "broker ingress": ("knative-eventing", "eventing.knative.dev/brokerRole=ingress", 8080),
    "broker filter": ("knative-eventing", "eventing.knative.dev/brokerRole=filter", 8080),
    "channel": ("knative-eventing", "messaging.knative.dev/role=dispatcher", 8080),
    "webhook": ("knative-eventing", "app=eventing-webhook", 8443),
    "Prometheus": ("monitoring", "app.kubernetes.io/name=prometheus", 9090),
    "Alertmanager": ("monitoring", "app.kubernetes.io/name=alertmanager", 9093),
    "Grafana": ("monitoring", "app.kubernetes.io/name=grafana", 3000),
    "Elasticsearch": ("seldon-logs", "app=elasticsearch", 9200),
    "request logger": ("seldon-logs", "app=seldon-request-logger", 8080),
    "metrics server": ("seldon-logs", "app=seldon-metrics-server", 8080),
    "alert logger": ("seldon-logs", "app=alert-logger", 8080),
}
ANYBODY = {"gateway", "istiod for proxies", "webhook"}
_MODEL = {"app.kubernetes.io/managed-by": "seldon-core"}


@pytest.fixture(scope="module")
def api() -> Api:
    api = Api()
    if api.get("NetworkPolicy", "broker-ingress", "knative-eventing") is None:
        pytest.skip("the parts are not installed on this cluster by `closedloop up`")
    return api


@pytest.fixture(scope="module")
def elsewhere(api: Api) -> Iterator[str]:
    """A namespace of somebody else's."""
    name = f"closedloop-test-{uuid.uuid4().hex[:8]}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete("Namespace", name)


def test_from_the_node_everything_is_reached(api: Api, elsewhere: str) -> None:
    # No policy filters that, so what is not reached from elsewhere does listen.
    assert _reached(api, elsewhere, {}, hostNetwork=True) == set(TARGETS)


def test_from_another_namespace(api: Api, elsewhere: str) -> None:
    assert _reached(api, elsewhere, {}) == ANYBODY


def test_from_a_pod_beside_the_models(api: Api) -> None:
    assert _reached(api, "seldon", {}) == set()


def test_from_a_model(api: Api) -> None:
    assert _reached(api, "seldon", _MODEL) == {"broker ingress"}


def test_a_model_reaches_no_other_model_and_no_address_outside(api: Api, elsewhere: str) -> None:
    outside = ["1.1.1.1:443", "8.8.8.8:53", "169.254.169.254:80"]
    assert not [a for a, yes in _tried(api, "seldon", _MODEL, outside).items() if yes]


@pytest.mark.parametrize("policy", load(manifests_folder(), "policies"), ids=lambda one: one.name)
def test_a_policy_is_about_pods_that_there_are(api: Api, policy: Any) -> None:
    chosen = policy.document["spec"]["podSelector"]
    terms = [f"{key}={value}" for key, value in chosen.get("matchLabels", {}).items()]
    terms += [
        f"{each['key']} {each['operator'].lower()} ({','.join(each['values'])})"
        for each in chosen.get("matchExpressions", ())
    ]
    pods, _ = api.list("Pod", policy.namespace, labels=",".join(terms))
    assert pods


def _reached(api: Api, namespace: str, labels: dict[str, str], **spec: bool) -> set[str]:
    """Which of the targets a pod with these labels reaches."""
    places = {}
    for name, (place, chosen, port) in TARGETS.items():
        pods, _ = api.list("Pod", place, labels=chosen, fields="status.phase=Running")
        assert pods, f"{name} does not run"
        places[name] = f"{pods[0]['status']['podIP']}:{port}"
    tried = _tried(api, namespace, labels, list(places.values()), **spec)
    return {name for name, address in places.items() if tried[address]}


def _tried(
    api: Api, namespace: str, labels: dict[str, str], addresses: list[str], **spec: bool
) -> dict[str, bool]:
    name = f"closedloop-test-{uuid.uuid4().hex[:8]}"
    confined = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                **spec,
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "main",
                        "image": read(manifests_folder()).images["components"],
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python", "-c", _PROGRAM, *addresses],
                        "securityContext": confined,
                    }
                ],
            },
        }
    )
    try:
        said = until(
            lambda: api.log(namespace, name, "main", lines=5),
            what=f"the pod {name} to have tried",
            timeout=180,
        )
        found: dict[str, bool] = json.loads(said)
        return found
    finally:
        api.delete("Pod", name, namespace, grace=0)
