"""An account with the roles of manifests/access and no others, on parts that somebody installed."""

import copy
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from closedloop.manifests import load
from closedloop.paths import manifests_folder
from closedloop.platforms.cluster import access
from closedloop.platforms.cluster.platform import ClusterPlatform
from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import PlatformError
from closedloop.suite.bundle import write_bundle
from closedloop.suite.setup import STEPS, install_everything
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi
from tests.platforms.cluster.rbac import roles
from tests.platforms.cluster.stand_ins import StandIns

GATEWAY = "istio-system/istio-ingressgateway"


@pytest.fixture
def gateway() -> Iterator[int]:
    """In the place of the gateway: answers with what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Seldon-Puid", self.headers.get("Seldon-Puid", ""))
            self.send_header("Asked", self.path)
            self.send_header("Had-Password", str("Authorization" in self.headers))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


# What charts bring, as far as an owner sees it.
_SERVICES = (
    (GATEWAY, 80),
    ("monitoring/monitoring-kube-prometheus-prometheus", 9090),
    ("knative-eventing/broker-ingress", 80),
)


@pytest.fixture
def guest(on_context: Open, fake: FakeApi, programs: StandIns, gateway: int) -> ClusterPlatform:
    """Of a model owner, on a cluster where an administrator has installed everything."""
    for step in STEPS:
        for one in load(manifests_folder(), *step.manifests, "elasticsearch"):
            fake.put(copy.deepcopy(dict(one.document)), "closedloop")
    for service, port in _SERVICES:
        namespace, _, name = service.partition("/")
        fake.put(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
            }
        )
    fake.service_ports["istio-ingressgateway:80"] = gateway
    fake.roles = roles()
    return on_context()


def test_what_is_installed_stays_as_it_is(
    guest: ClusterPlatform, fake: FakeApi, programs: StandIns
) -> None:
    install_everything(guest, lambda *_: None)
    said = guest.apply("metrics-server", "request-logger", "alert-logger", "dashboards")
    assert fake.changes() == []
    assert programs.calls() == []
    assert "Deployment/seldon-metrics-server left alone, an administrator installed it" in said
    assert "ConfigMap/dashboard-accuracy not seen, taken as an administrator's" in said


def test_models_are_made_changed_and_removed(guest: ClusterPlatform, fake: FakeApi) -> None:
    said = guest.apply("models/iris-perf.yaml")
    assert said == ["SeldonDeployment/iris-perf created"]
    assert guest.apply("models/iris-perf-shadow.yaml") == ["SeldonDeployment/iris-perf configured"]
    assert guest.get("SeldonDeployment", "iris-perf", "seldon")["spec"]
    assert guest.delete("models/iris-perf.yaml") == ["SeldonDeployment/iris-perf deleted"]
    assert {each.path.split("/")[-2] for each in fake.changes()} == {"seldondeployments"}


def test_a_model_where_the_account_has_no_rights_is_refused(guest: ClusterPlatform) -> None:
    model = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "iris", "namespace": "default"},
        "spec": {},
    }
    with pytest.raises(PlatformError, match=r"default/iris .* your account may not make it"):
        guest.apply(model)


def test_what_nobody_installed_is_named(guest: ClusterPlatform, fake: FakeApi) -> None:
    fake.remove("Deployment", "seldon-metrics-server", "seldon-logs")
    with pytest.raises(PlatformError, match=r"seldon-metrics-server \(manifests/metrics-server"):
        guest.apply("metrics-server")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_not_there_is_named(
    guest: ClusterPlatform, fake: FakeApi, part: str
) -> None:
    for _, namespace, name in [key for key in fake.objects if key[0] == "Service"]:
        fake.remove("Service", name, namespace)
    fake.groups.discard("machinelearning.seldon.io/v1")
    with pytest.raises(PlatformError, match=f"{part} is not installed on this cluster"):
        guest.install(part)


def test_without_any_role_it_says_where_roles_are(guest: ClusterPlatform, fake: FakeApi) -> None:
    fake.roles = []
    with pytest.raises(PlatformError, match=r"sees nothing of istio .* manifests/access"):
        guest.install("istio")
    assert guest.status() == []


def test_status_shows_what_the_account_sees(
    guest: ClusterPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {row.part for row in guest.status()}
    assert "seldon-logs/seldon-metrics-server" in parts
    assert not [part for part in parts if part.startswith("monitoring/")]
    assert "not shown, because your account may not list it: istio-system" in (
        capsys.readouterr().err
    )


def test_the_gateway_is_reached_by_the_api_servers_proxy(
    guest: ClusterPlatform, fake: FakeApi
) -> None:
    url = guest.url(GATEWAY)
    answer = requests.post(
        f"{url}/seldon/a?b=c",
        data=b"\x00{}",
        headers={"Seldon-Puid": "p", "Authorization": "Basic eA=="},
        timeout=60,
    )
    assert (answer.status_code, answer.content) == (201, b"\x00{}")
    assert answer.headers["Seldon-Puid"] == "p"
    assert answer.headers["Asked"] == "/seldon/a"
    assert answer.headers["Had-Password"] == "False"
    assert not [each for each in fake.requests if "portforward" in each.path]
    guest._forget()


def test_what_the_api_server_refuses_is_the_answer(guest: ClusterPlatform) -> None:
    with requests.delete(guest.url(GATEWAY), timeout=60) as answer:
        assert answer.status_code == 501
    guest._forget()


def test_a_service_that_the_account_may_not_reach(guest: ClusterPlatform, fake: FakeApi) -> None:
    port = {"name": "http", "port": 15014}
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "broker-ingress", "namespace": "seldon"},
            "spec": {"ports": [port]},
        }
    )
    fake.roles = [each for each in roles() if each["metadata"]["namespace"] != "seldon"]
    with pytest.raises(PlatformError, match="forbidden"):
        guest.url("seldon/broker-ingress")
    fake.roles = [*fake.roles, _reading("seldon")]
    with pytest.raises(PlatformError, match="your account may not reach Service seldon/broker"):
        guest.url("seldon/broker-ingress")


def test_prometheus_is_forwarded_to_by_the_name_of_its_pod(
    guest: ClusterPlatform, fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_PATIENCE", 0.0)
    service = "monitoring/monitoring-kube-prometheus-prometheus"
    with pytest.raises(PlatformError, match="may not reach"):
        guest.url(service)  # it has no pod
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "prometheus-monitoring-kube-prometheus-prometheus-0",
                "namespace": "monitoring",
                "labels": {"app": "monitoring-kube-prometheus-prometheus"},
            },
        }
    )
    assert guest.url(service).startswith("http://127.0.0.1:")
    guest._forget()


def test_down_removes_nothing(guest: ClusterPlatform, fake: FakeApi) -> None:
    guest.apply("models/iris-perf.yaml")
    there = set(fake.objects)
    with pytest.raises(PlatformError, match="nothing was removed"):
        guest.down()
    assert set(fake.objects) == there


def test_a_bundle_has_what_the_account_may_see(guest: ClusterPlatform, tmp_path: Path) -> None:
    guest.apply("models/iris-perf.yaml")
    write_bundle(guest, tmp_path / "bundle.tar.gz")
    with tarfile.open(tmp_path / "bundle.tar.gz") as packed:
        names = packed.getnames()
        texts = {n: f.read().decode() for n in names if (f := packed.extractfile(n)) is not None}
    deployments = texts["bundle/objects/Deployment.yaml"]
    assert "name: seldon-metrics-server" in deployments
    assert "# istio-system cannot be read: listing Deployment: " in deployments
    assert "name: iris-perf" in texts["bundle/objects/SeldonDeployment.yaml"]
    assert "elastic" not in texts["bundle/objects/Secret.yaml"]


def _reading(namespace: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get", "list"]}
    return {"metadata": {"namespace": namespace}, "rules": [rule]}
