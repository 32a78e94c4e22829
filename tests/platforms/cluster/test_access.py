import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from elasticsearch import Elasticsearch

from closedloop.manifests import ManifestError
from closedloop.notebook.waiting import until
from closedloop.paths import manifests_folder
from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster import access
from closedloop.platforms.cluster.forwarding import Forwarder, target_port
from closedloop.platforms.cluster.ports import CONFIG, host_ports, published
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.fake_api import FakeApi

# The client library leaves the closing of a websocket whose server went away to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests have nobody behind their ports."""
    monkeypatch.setattr(access, "_PATIENCE", 0.0)


@pytest.fixture
def forwarder(api: Api) -> Iterator[Forwarder]:
    forwarder = Forwarder(api)
    yield forwarder
    forwarder.close()
    for thread in threading.enumerate():
        if thread.name.startswith("Kubernetes port forward"):
            thread.join(60)
    gc.collect()


@pytest.fixture
def web() -> Iterator[int]:
    """A server in the place of a pod's process; answers with what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def _service(fake: FakeApi, name: str, namespace: str, *ports: dict[str, Any]) -> None:
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"app": name}, "ports": list(ports)},
        }
    )


def _pod(fake: FakeApi, name: str, app: str, *, ready: bool = True, created: str = "1") -> None:
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "seldon",
                "labels": {"app": app},
                "creationTimestamp": created,
            },
            "spec": {
                "containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8000}]}]
            },
            "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
        }
    )


def test_a_published_service_is_on_its_port(api: Api, fake: FakeApi, forwarder: Forwarder) -> None:
    _service(
        fake,
        "istio-ingressgateway",
        "istio-system",
        {"name": "status-port", "port": 15021},
        {"name": "http2", "port": 80},
    )
    table = published(manifests_folder())
    name = "istio-system/istio-ingressgateway"
    assert access.url(api, forwarder, table, name, None) == "http://127.0.0.1:8003"
    assert access.url(api, forwarder, table, name, 15021) != "http://127.0.0.1:8003"


def test_user_and_password_are_in_elasticsearchs_url(
    api: Api, fake: FakeApi, forwarder: Forwarder
) -> None:
    _service(fake, "elasticsearch", "seldon-logs", {"name": "http", "port": 9200})
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "elasticsearch-credentials", "namespace": "seldon-logs"},
            "data": {"username": "ZWxhc3RpYw==", "password": "cEBzcy86"},
        }
    )
    table = published(manifests_folder())
    url = access.url(api, forwarder, table, "seldon-logs/elasticsearch", None)
    assert url == "http://elastic:p%40ss%2F%3A@127.0.0.1:9200"
    (node,) = Elasticsearch(url).transport.node_pool.all()
    assert node.config.host == "127.0.0.1"
    assert dict(node.config.headers)["authorization"] == "Basic ZWxhc3RpYzpwQHNzLzo="


def test_a_service_that_is_not_there(api: Api, forwarder: Forwarder) -> None:
    with pytest.raises(PlatformError, match="there is no Service seldon/iris"):
        access.url(api, forwarder, {}, "seldon/iris", None)
    with pytest.raises(PlatformError, match="namespace/name"):
        access.url(api, forwarder, {}, "iris", None)


def test_a_port_that_is_not_there_names_those_that_are(
    api: Api, fake: FakeApi, forwarder: Forwarder
) -> None:
    _service(fake, "iris", "seldon", {"name": "http", "port": 8000})
    with pytest.raises(PlatformError, match=r"has no port 9000: it has \[8000\]"):
        access.url(api, forwarder, {}, "seldon/iris", 9000)


def test_forwards_to_a_pod_that_is_ready(
    api: Api, fake: FakeApi, forwarder: Forwarder, web: int
) -> None:
    _service(fake, "iris", "seldon", {"name": "http", "port": 80, "targetPort": "http"})
    _pod(fake, "iris-0", "iris", ready=False)
    _pod(fake, "iris-1", "iris")
    fake.pod_ports["iris-1", 8000] = web
    url = access.url(api, forwarder, {}, "seldon/iris", None)
    large = b"x" * 300_000
    assert requests.post(url, data=large, timeout=60).content == large
    assert access.url(api, forwarder, {}, "seldon/iris", 80) == url


def test_after_a_pod_was_replaced_the_same_url_leads_to_the_new_one(
    api: Api, fake: FakeApi, forwarder: Forwarder, web: int
) -> None:
    _service(fake, "iris", "seldon", {"name": "http", "port": 80, "targetPort": 8000})
    _pod(fake, "iris-1", "iris")
    fake.pod_ports["iris-1", 8000] = web
    url = access.url(api, forwarder, {}, "seldon/iris", None)
    assert requests.post(url, data=b"1", timeout=60).content == b"1"
    fake.remove("Pod", "iris-1", "seldon")
    _pod(fake, "iris-2", "iris", created="2")
    fake.pod_ports["iris-2", 8000] = web
    assert requests.post(url, data=b"2", timeout=60).content == b"2"


def test_a_closed_forwarder_refuses(
    api: Api, fake: FakeApi, forwarder: Forwarder, web: int
) -> None:
    _service(fake, "iris", "seldon", {"name": "http", "port": 80})
    url = access.url(api, forwarder, {}, "seldon/iris", None)
    forwarder.close()
    with pytest.raises(requests.ConnectionError):
        requests.post(url, data=b"1", timeout=60)


def test_a_url_is_given_when_somebody_listens_behind_it(
    api: Api, fake: FakeApi, forwarder: Forwarder, web: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_PATIENCE", 60.0)
    _service(fake, "iris", "seldon", {"name": "http", "port": 80, "targetPort": 8000})
    _pod(fake, "iris-1", "iris")

    def listen() -> None:
        until(
            lambda: any(each.path.endswith("/portforward") for each in [*fake.requests]),
            what="a call while nobody listens",
            timeout=60,
            every=0.01,
        )
        fake.pod_ports["iris-1", 8000] = web

    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(listen)
        url = access.url(api, forwarder, {}, "seldon/iris", None)
        assert ("iris-1", 8000) in fake.pod_ports  # it was not given before
        listening.result()
    assert requests.post(url, data=b"1", timeout=60).content == b"1"


def test_a_named_target_port_is_the_containers() -> None:
    service = {
        "metadata": {"name": "a"},
        "spec": {"ports": [{"port": 80, "targetPort": "http"}]},
    }
    pod = {"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]}}
    assert target_port(service, 80, pod) == 8080


def test_every_node_port_is_one_that_kind_maps() -> None:
    table = published(manifests_folder())
    hosts = host_ports(manifests_folder())
    assert {entry.node_port for entry in table.values()} == set(hosts)
    assert len({entry.host_port for entry in table.values()}) == len(table)


def test_a_node_port_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kind"
    folder.mkdir()
    (tmp_path / CONFIG).write_text(yaml.safe_dump({"nodes": []}))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "annotations": {"closedloop.dev/publishes": "b"}},
        "spec": {"ports": [{"port": 80, "nodePort": 30001}]},
    }
    (folder / "a.yaml").write_text(yaml.safe_dump(service))
    with pytest.raises(ManifestError, match="nodePort"):
        published(tmp_path)
