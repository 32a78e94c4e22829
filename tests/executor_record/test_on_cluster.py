"""Seldon's executor on a cluster still does what the record says, through the gateway.

Needs a platform that is up: a kind cluster of ours, or that of `$CLOSEDLOOP_CONTEXT`.
What it makes lies in a namespace of its own, which is gone afterwards.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from closedloop.platforms import connect
from closedloop.platforms.cluster.platform import ClusterPlatform
from tests.executor_record import sink
from tests.executor_record.record import MODEL, WHO, Event, printed, recorded, replay

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]

RECORDED = recorded()
NAMESPACE, PORT = WHO["namespace"], 8080
_LABELS = {"app": "sink"}
_RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 8888,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _container(name: str, image: str, command: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": _RESTRICTED,
    }


def _object(api_version: str, kind: str, name: str, **rest: object) -> dict[str, Any]:
    metadata = {"name": name} | ({} if kind == "Namespace" else {"namespace": NAMESPACE})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def _objects() -> list[dict[str, Any]]:
    """A namespace, the sink, and a model whose executor posts to it."""
    source = Path(sink.__file__).read_text(encoding="utf-8")
    command = ["python", "-c", source, "0.0.0.0", str(PORT)]  # noqa: S104  # a pod's own network
    pod = {
        "automountServiceAccountToken": False,
        "containers": [_container("sink", "closedloop/components:0.1.0", command)],
    }
    serve = ["python", "-m", "closedloop.models.serve", MODEL["class"]]
    classifier = _container("classifier", "closedloop/iris:0.1.0", serve)
    classifier["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
    parameters = {"model_uri": "/usr/local/share/closedloop/models", "method": MODEL["method"]}
    predictor = {
        "name": WHO["predictor"],
        "replicas": 1,
        "componentSpecs": [
            {
                "spec": {
                    "automountServiceAccountToken": False,
                    "containers": [classifier],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                }
            }
        ],
        "graph": {
            "name": "classifier",
            "type": "MODEL",
            "parameters": [
                {"name": name, "type": "STRING", "value": value}
                for name, value in parameters.items()
            ],
            "logger": {"mode": "all", "url": f"http://sink.{NAMESPACE}.svc.cluster.local:{PORT}"},
        },
    }
    name = WHO["deployment"]
    return [
        _object("v1", "Namespace", NAMESPACE),
        _object("v1", "Service", "sink", spec={"selector": _LABELS, "ports": [{"port": PORT}]}),
        _object(
            "apps/v1",
            "Deployment",
            "sink",
            spec={
                "selector": {"matchLabels": _LABELS},
                "template": {"metadata": {"labels": _LABELS}, "spec": pod},
            },
        ),
        _object(
            "machinelearning.seldon.io/v1",
            "SeldonDeployment",
            name,
            spec={"name": name, "predictors": [predictor]},
        ),
    ]


@pytest.fixture(scope="module")
def platform() -> Iterator[ClusterPlatform]:
    platform = connect("cluster")
    assert isinstance(platform, ClusterPlatform)
    if not platform.status():
        pytest.skip("nothing is installed: `closedloop up --platform cluster` first")
    objects = _objects()
    try:
        platform.apply(*objects)
        platform.wait("Deployment", "sink", NAMESPACE, condition="Available", timeout=300)
        platform.wait("SeldonDeployment", WHO["deployment"], NAMESPACE, timeout=600)
        yield platform
    finally:
        platform.delete(*objects)


@pytest.fixture(scope="module")
def came(platform: ClusterPlatform) -> dict[str, Any]:
    """What the executor on the cluster made of every call."""
    pods = platform.objects("Pod", NAMESPACE)
    (pod,) = (one for one in pods if one["metadata"]["labels"].get("app") == "sink")  # type: ignore[index]  # plain JSON

    def events() -> list[Event]:
        name = str(pod["metadata"]["name"])  # type: ignore[index]  # plain JSON
        return printed(platform._api.log(NAMESPACE, name, "sink", lines=10_000))

    gateway = platform.url("istio-system/istio-ingressgateway")
    wanted = {name: len(one.get("events", [])) for name, one in RECORDED.items()}
    return replay(f"{gateway}/seldon/{NAMESPACE}/{WHO['deployment']}", events, wanted)


@pytest.mark.parametrize("name", RECORDED)
def test_the_executor_does_what_was_recorded(name: str, came: dict[str, Any]) -> None:
    assert came[name] == RECORDED[name]
