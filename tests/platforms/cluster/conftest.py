import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from closedloop.paths import manifests_folder
from closedloop.platforms.cluster import preflight
from closedloop.platforms.cluster.platform import ClusterPlatform
from closedloop.platforms.cluster.sources import FILES, file_name
from closedloop.platforms.cluster.versions import read
from tests.platforms.cluster.fake_api import FakeApi
from tests.platforms.cluster.stand_ins import StandIns, definition, workload

Open = Callable[[], ClusterPlatform]


@pytest.fixture
def programs(fake: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """kind, helm and docker that only pretend, first on PATH."""
    text = (tmp_path / "kubeconfig").read_text()
    programs = StandIns(tmp_path / "programs", api=fake.url, kubeconfig=text)
    monkeypatch.setenv("PATH", f"{programs.bin}{os.pathsep}{os.environ['PATH']}")
    return programs


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where upstream's manifests are, small ones, as if fetched before."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CLOSEDLOOP_HOME", str(folder))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for name in ("CONTEXT", "REGISTRY", "OFFLINE"):
        monkeypatch.delenv(f"CLOSEDLOOP_{name}", raising=False)
    kept = folder / "parts" / "cluster" / FILES
    kept.mkdir(parents=True)
    for url in read(manifests_folder()).parts["knative-eventing"].urls():
        content = KNATIVE[url.rpartition("/")[2]]
        (kept / file_name(url)).write_text(yaml.safe_dump_all(content))
    # The kernel's limits of the machine of the tests.
    monkeypatch.setattr(preflight, "_PROC", tmp_path / "none")
    # Whatever else runs on the machine of the tests.
    monkeypatch.setattr(preflight, "why_taken", lambda *_: "")
    # Whatever room is left beside what other tests write.
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100 << 30))
    return folder


@pytest.fixture
def on_kind(programs: StandIns, home: Path) -> Open:
    """A new client of a kind cluster, as each process has its own."""
    return ClusterPlatform


@pytest.fixture
def on_context(programs: StandIns, home: Path) -> Open:
    return lambda: ClusterPlatform(context="test", registry="mirror.example")


_NAMESPACE: dict[str, object] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "knative-eventing", "labels": {"app.kubernetes.io/version": "1.22.2"}},
}


def _deployment(name: str) -> dict[str, object]:
    made = workload("Deployment", name, "knative-eventing", "")
    made["metadata"].pop("annotations")
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "timeoutSeconds": 1}
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container |= {"livenessProbe": probe, "readinessProbe": {**probe, "periodSeconds": 2}}
    return made


# What is in upstream's files, cut down to one object of each kind that matters.
KNATIVE: dict[str, list[dict[str, object]]] = {
    "eventing-crds.yaml": [
        definition("brokers", "Broker", "eventing.knative.dev"),
        definition("triggers", "Trigger", "eventing.knative.dev"),
    ],
    "eventing-core.yaml": [
        _NAMESPACE,
        _deployment("eventing-webhook"),
        _deployment("job-sink"),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "addressable-resolver"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"duck": "yes"}}]},
            "rules": [],
        },
        definition("brokers", "Broker", "eventing.knative.dev"),
    ],
    "in-memory-channel.yaml": [_deployment("imc-controller")],
    "mt-channel-broker.yaml": [
        _deployment("mt-broker-ingress"),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "broker-ingress-hpa", "namespace": "knative-eventing"},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "broker-ingress", "namespace": "knative-eventing"},
            "spec": {
                "selector": {"app": "mt-broker-ingress"},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            },
        },
    ],
}
