"""What the roles of manifests/access give, asked of a real API server by one of their group.

The parts have to be installed there. The account is a client certificate that
the API server signs for this test; roles that were not there go with it.
"""

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from elasticsearch import Elasticsearch

from closedloop.manifests import load
from closedloop.notebook.dashboards import Prometheus
from closedloop.notebook.waiting import until
from closedloop.paths import manifests_folder
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError
from closedloop.platforms.client.dump import dump
from closedloop.platforms.cluster.platform import ClusterPlatform
from closedloop.platforms.protocol import PlatformError
from closedloop.suite.setup import install_everything

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]

GROUP = "closedloop-notebooks"
GATEWAY = "istio-system/istio-ingressgateway"


@pytest.fixture(scope="module")
def admin() -> Api:
    api = Api()
    if not api.knows("SeldonDeployment") or api.get("Namespace", "seldon-logs") is None:
        pytest.skip("the parts are not installed on this cluster")
    return api


@pytest.fixture(scope="module")
def owner(admin: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a model owner."""
    folder = tmp_path_factory.mktemp("owner")
    access = [one.document for one in load(manifests_folder(), "access")]
    made = [each for each in access if not _is_there(admin, each)]
    for document in access:
        admin.apply(document, force=True)
    name = f"closedloop-test-{uuid.uuid4().hex[:8]}"
    try:
        kubeconfig = _kubeconfig(folder, _signed(admin, name, folder))
        until(
            lambda: _may_not_kill_the_log(Api(kubeconfig)),
            what="the admission policy of manifests/access is in force",
            timeout=60,
        )
        yield kubeconfig
    finally:
        admin.delete("CertificateSigningRequest", name)
        for document in reversed(made):
            metadata: Any = document["metadata"]
            admin.delete(
                str(document["kind"]),
                metadata["name"],
                metadata.get("namespace", ""),
                api_version=str(document["apiVersion"]),
            )


def _may_not_kill_the_log(api: Api) -> bool:
    # Admission policies come into force a while after they were accepted.
    try:
        api.connection.request(
            "delete",
            "/api/v1/namespaces/seldon-logs/pods/elasticsearch-0",
            what="trying to delete the log's pod",
            body={"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]},
        )
    except ApiError as error:
        return error.status in {403, 422}
    return False


@pytest.fixture(scope="module")
def api(owner: Path) -> Api:
    return Api(owner)


@pytest.fixture
def platform(owner: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterPlatform]:
    monkeypatch.setenv("KUBECONFIG", str(owner))
    platform = ClusterPlatform(context="owner")
    yield platform
    platform._forget()


# verb, group, resource, namespace, name
ALLOWED = [
    ("create", "machinelearning.seldon.io", "seldondeployments", "seldon", ""),
    ("patch", "machinelearning.seldon.io", "seldondeployments", "seldon", ""),
    ("delete", "machinelearning.seldon.io", "seldondeployments", "seldon", ""),
    ("watch", "apps", "deployments", "seldon", ""),
    ("get", "", "pods/log", "seldon", ""),
    ("create", "", "pods/portforward", "seldon", ""),
    ("watch", "apps", "deployments", "seldon-logs", ""),
    ("get", "", "pods/log", "seldon-logs", ""),
    ("delete", "", "pods", "seldon-logs", ""),
    ("create", "", "pods/portforward", "seldon-logs", ""),
    ("get", "", "secrets", "seldon-logs", "elasticsearch-credentials"),
    ("get", "", "configmaps", "seldon-logs", "model-outputs"),
    ("patch", "", "configmaps", "seldon-logs", "model-outputs"),
    ("create", "", "services/proxy", "istio-system", "istio-ingressgateway:80"),
    ("create", "", "pods/portforward", "knative-eventing", ""),
    (
        *("create", "", "pods/portforward", "monitoring"),
        "prometheus-monitoring-kube-prometheus-prometheus-0",
    ),
]
FORBIDDEN = [
    # What others could be robbed of.
    ("get", "", "secrets", "monitoring", "grafana-credentials"),
    ("list", "", "secrets", "monitoring", ""),
    ("list", "", "secrets", "seldon-logs", ""),
    ("get", "", "secrets", "seldon", ""),
    ("list", "", "secrets", "istio-system", ""),
    ("create", "monitoring.coreos.com", "podmonitors", "monitoring", ""),
    ("create", "monitoring.coreos.com", "podmonitors", "seldon", ""),
    ("create", "monitoring.coreos.com", "servicemonitors", "monitoring", ""),
    ("patch", "monitoring.coreos.com", "prometheusrules", "monitoring", "closedloop"),
    ("create", "", "configmaps", "monitoring", ""),
    ("create", "", "serviceaccounts/token", "seldon", "default"),
    # What would be let in by the policies for others.
    ("create", "", "pods", "seldon-logs", ""),
    ("create", "", "pods", "seldon", ""),
    ("create", "apps", "deployments", "seldon-logs", ""),
    ("patch", "apps", "deployments", "seldon-logs", "seldon-metrics-server"),
    ("create", "apps", "deployments", "seldon", ""),
    ("create", "", "pods/exec", "seldon-logs", ""),
    ("create", "", "pods/exec", "seldon", ""),
    ("delete", "networking.k8s.io", "networkpolicies", "seldon-logs", "default-deny"),
    ("patch", "networking.k8s.io", "networkpolicies", "seldon", "default-deny"),
    ("create", "networking.k8s.io", "networkpolicies", "seldon-logs", ""),
    # What would change the way of events, or of requests.
    ("create", "eventing.knative.dev", "triggers", "seldon-logs", ""),
    ("patch", "eventing.knative.dev", "brokers", "seldon-logs", "default"),
    ("create", "networking.istio.io", "virtualservices", "seldon", ""),
    ("patch", "", "services", "seldon-logs", "elasticsearch"),
    ("create", "", "services", "seldon", ""),
    ("patch", "", "configmaps", "seldon-logs", "other"),
    ("list", "", "configmaps", "seldon-logs", ""),
    ("delete", "", "configmaps", "seldon-logs", "model-outputs"),
    # What would stop or govern others' things.
    ("create", "", "pods/portforward", "istio-system", ""),
    ("create", "", "services/proxy", "istio-system", "istiod:15014"),
    ("create", "", "services/proxy", "istio-system", "istio-ingressgateway:15021"),
    ("create", "", "pods/portforward", "monitoring", ""),
    ("delete", "", "pods", "seldon", ""),
    ("delete", "", "pods", "monitoring", ""),
    ("patch", "", "configmaps", "default", "closedloop-inventory"),
    ("patch", "rbac.authorization.k8s.io", "roles", "seldon", GROUP),
    ("create", "rbac.authorization.k8s.io", "rolebindings", "seldon", ""),
    ("patch", "", "namespaces", "", "seldon"),
    ("list", "", "nodes", "", ""),
    ("list", "", "pods", "kube-system", ""),
]


@pytest.mark.parametrize("what", ALLOWED, ids=" ".join)
def test_is_allowed(api: Api, what: tuple[str, str, str, str, str]) -> None:
    assert api.allowed(*what)


@pytest.mark.parametrize("what", FORBIDDEN, ids=" ".join)
def test_is_not_allowed(api: Api, what: tuple[str, str, str, str, str]) -> None:
    assert not api.allowed(*what)


_REFUSED: dict[str, Callable[[Api], object]] = {
    "reads another's password": lambda a: a.get("Secret", "grafana-credentials", "monitoring"),
    "monitors": lambda a: _make(a, "monitoring.coreos.com/v1", "PodMonitor", "monitoring"),
    "makes a pod": lambda a: _make(a, "v1", "Pod", "seldon-logs"),
    "makes a workload": lambda a: _make(a, "apps/v1", "Deployment", "seldon-logs"),
    "deletes a policy": lambda a: a.delete("NetworkPolicy", "default-deny", "seldon-logs"),
    "changes a trigger": lambda a: _make(a, "eventing.knative.dev/v1", "Trigger", "seldon-logs"),
    "changes the inventory": lambda a: a.merge("ConfigMap", "closedloop-inventory", "default", {}),
    "kills the log": lambda a: a.delete("Pod", "elasticsearch-0", "seldon-logs"),
    "another's model": lambda a: _make(
        a, "machinelearning.seldon.io/v1", "SeldonDeployment", "default"
    ),
}


@pytest.mark.parametrize("what", _REFUSED)
def test_is_refused(api: Api, what: str) -> None:
    with pytest.raises(ApiError) as caught:
        _REFUSED[what](api)
    assert caught.value.status in {403, 422}  # 422: the admission policy


def test_installing_and_applying_what_is_there_changes_nothing(
    platform: ClusterPlatform, admin: Api
) -> None:
    kinds = ("Deployment", "NetworkPolicy", "Service", "Broker", "Trigger", "PodMonitor")
    before = {kind: _versions(admin, kind) for kind in kinds}
    install_everything(platform, lambda *_: None)
    assert {kind: _versions(admin, kind) for kind in kinds} == before


def test_reaches_what_notebooks_reach(platform: ClusterPlatform) -> None:
    gateway = platform.url(GATEWAY)
    nobody = f"{gateway}/seldon/seldon/nobody/api/v1.0/predictions"
    assert requests.post(nobody, json={}, timeout=60).status_code == 404
    broker = platform.url("knative-eventing/broker-ingress")
    assert requests.post(f"{broker}/seldon-logs/default", timeout=60).status_code == 400
    prometheus = Prometheus(platform.url("monitoring/monitoring-kube-prometheus-prometheus"))
    assert prometheus.scalar("vector(1)") == 1
    with Elasticsearch(platform.url("seldon-logs/elasticsearch"), request_timeout=60) as log:
        assert log.info()["version"]["number"]


def test_makes_models(api: Api) -> None:
    model = _model(f"closedloop-test-{uuid.uuid4().hex[:8]}")
    made = api.apply(model, force=False, dry_run=True)
    assert made["spec"]["predictors"]


def test_shows_and_bundles_what_the_account_sees(
    platform: ClusterPlatform, owner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "seldon-logs/seldon-request-logger" in {row.part for row in platform.status()}
    assert "may not list it: istio-system" in capsys.readouterr().err
    assert platform.logs("seldon-logs/seldon-request-logger", 5)
    files = dict(dump(Api(owner), ["seldon-logs", "monitoring"]))
    assert b"seldon-request-logger" in files["objects/Deployment.yaml"]
    assert b"forbidden" in files["objects/Secret.yaml"]


def test_kills_the_metrics_server_and_no_other_pod(platform: ClusterPlatform) -> None:
    platform.restart("seldon-logs/seldon-metrics-server", kill=True)
    with pytest.raises(PlatformError, match="only the metrics server's may be deleted"):
        platform.restart("seldon-logs/elasticsearch", kill=True)


def _make(api: Api, version: str, kind: str, namespace: str) -> object:
    metadata = {"name": "closedloop-test", "namespace": namespace}
    document = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {}}
    return api.apply(document, force=False, dry_run=True)


def _model(name: str) -> dict[str, Any]:
    (manifest,) = load(manifests_folder(), "models/sklearn.yaml")
    return {**manifest.document, "metadata": {"name": name, "namespace": "seldon"}}


def _versions(api: Api, kind: str) -> set[tuple[str, str, int]]:
    return {
        (own["namespace"], own["name"], own["generation"])
        for each in api.list(kind)[0]
        if "generation" in (own := each["metadata"]) and own["namespace"] != "seldon"
    }


def _is_there(api: Api, document: Any) -> bool:
    metadata = document["metadata"]
    found = api.get(
        document["kind"],
        metadata["name"],
        metadata.get("namespace", ""),
        api_version=document["apiVersion"],
    )
    return found is not None


def _signed(admin: Api, name: str, folder: Path) -> str:
    """The certificate of a new key of one of the group, in base64."""
    assert shutil.which("openssl"), "openssl makes the request for a certificate: install it"
    subprocess.run(
        [
            *("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj"),
            *(f"/O={GROUP}/CN={name}", "-keyout", folder / "key", "-out", folder / "request"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode((folder / "request").read_bytes()).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": 3600,
            "usages": ["client auth"],
        },
    }
    made = admin.create(request)
    condition = {"type": "Approved", "status": "True", "reason": "Test", "message": "for a test"}
    made["status"] = {"conditions": [condition]}
    admin.connection.request(
        "put",
        f"/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}/approval",
        what="approving the certificate",
        body=made,
    )

    def certificate() -> str:
        found = admin.get("CertificateSigningRequest", name) or {}
        return str(found.get("status", {}).get("certificate", ""))

    return until(certificate, what="the certificate", timeout=60)


def _kubeconfig(folder: Path, certificate: str) -> Path:
    """With the one context `owner`, to the cluster of $KUBECONFIG."""
    theirs = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    current = theirs["current-context"]
    context = next(each["context"] for each in theirs["contexts"] if each["name"] == current)
    cluster = next(each for each in theirs["clusters"] if each["name"] == context["cluster"])
    key = base64.b64encode((folder / "key").read_bytes()).decode()
    user = {"client-certificate-data": certificate, "client-key-data": key}
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "users": [{"name": "owner", "user": user}],
                "contexts": [
                    {"name": "owner", "context": {"cluster": cluster["name"], "user": "owner"}}
                ],
                "current-context": "owner",
            }
        )
    )
    return path
