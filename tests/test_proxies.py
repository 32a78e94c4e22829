"""A proxy that answers 403, as one does for an address that is not its own."""

import io
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import requests
import websocket
from elasticsearch import Elasticsearch
from kubernetes import client, config
from rich.console import Console
from uv import find_uv_bin

from closedloop.platforms import connect
from closedloop.proxies import DIRECT, spare_loopback
from closedloop.suite.parameters import assign
from closedloop.suite.run import Plan, Run
from tests.suite.fakes import FakePlatform, notebook

pytestmark = pytest.mark.embedded

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Asked(ThreadingHTTPServer):
    """Remembers what it was asked for, and answers all of it alike."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = status, body
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Asked

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_CONNECT = do_GET  # noqa: N815 - the names that the server looks for

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: Asked) -> Iterator[Asked]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def service() -> Iterator[Asked]:
    """What runs on this machine."""
    with serving(Asked(200, json.dumps({"major": "1", "minor": "35"}).encode())) as one:
        yield one


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """The environment's proxy, and no word of what it is not for."""
    with serving(Asked(403)) as one:
        for name in NAMES:
            for spelling in (name, name.lower()):
                monkeypatch.setenv(spelling, one.url)
        for spelling in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(spelling)
        yield one


def by_requests(url: str) -> None:
    assert requests.get(url, timeout=60).status_code == 200


def by_elasticsearch(url: str) -> None:
    assert Elasticsearch(url, request_timeout=60).info()["major"] == "1"


def by_urllib(url: str) -> None:
    with urlopen(url, timeout=60) as answer:  # noqa: S310 - the URL is the test's own
        assert answer.status == 200


def by_kubernetes(url: str) -> None:
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "u", "user": {}}],
        "contexts": [context],
        "current-context": "c",
    }
    configuration = client.Configuration()
    config.load_kube_config_from_dict(kubeconfig, client_configuration=configuration)
    with client.ApiClient(configuration) as one:
        answer: Any = client.VersionApi(one).get_code(_preload_content=False)
        assert answer.status == 200


def by_websocket(url: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="200"):
        websocket.create_connection(url.replace("http", "ws"), timeout=60)


@pytest.mark.parametrize(
    "call", [by_requests, by_elasticsearch, by_urllib, by_kubernetes, by_websocket]
)
def test_what_runs_here_is_reached_without_the_proxy(
    call: Callable[[str], None], service: Asked, proxy: Asked
) -> None:
    connect("embedded")
    call(service.url)
    assert len(service.paths) == 1
    assert proxy.paths == []


def test_every_address_of_loopback_is_meant(service: Asked, proxy: Asked) -> None:
    connect("cluster")
    port = service.server_address[1]
    assert requests.get(f"http://localhost:{port}/", timeout=60).status_code == 200
    with pytest.raises(requests.ConnectionError):  # nobody listens there
        requests.get(f"http://127.1.2.3:{port}/", timeout=60)
    assert proxy.paths == []


def test_a_notebook_reaches_what_runs_here_without_the_proxy(
    tmp_path: Path, service: Asked, proxy: Asked
) -> None:
    cell = f"import requests\nassert requests.get('{service.url}', timeout=60).ok"
    notebooks = [notebook(tmp_path / "01_one.ipynb", cell)]
    connect("embedded")
    said = io.StringIO()
    console = Console(file=said, width=200)
    plan = Plan("embedded", notebooks, assign(notebooks, {}, platform="embedded"), tmp_path / "out")
    assert Run(plan, lambda _: FakePlatform(), console=console, errors=console)() == 0, (
        said.getvalue()
    )
    assert proxy.paths == []


def test_packages_still_come_by_the_proxy(tmp_path: Path, proxy: Asked) -> None:
    connect("embedded")
    command = [find_uv_bin(), "pip", "install", "--target", str(tmp_path / "there"), "--no-config"]
    index = ["--index-url", "http://packages.test/simple", "--no-cache"]
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([*command, *index, "nothing"], check=True, capture_output=True, timeout=120)
    assert [path for path in proxy.paths if path.startswith("http://packages.test/simple/")]


@pytest.mark.parametrize(
    ("before", "upper", "lower"),
    [
        ({}, DIRECT, DIRECT),
        ({"NO_PROXY": "corp"}, ("corp", *DIRECT), ("corp", *DIRECT)),
        ({"no_proxy": " corp ,"}, ("corp", *DIRECT), ("corp", *DIRECT)),
        ({"NO_PROXY": "a", "no_proxy": "b"}, ("a", *DIRECT), ("b", *DIRECT)),
        ({"NO_PROXY": "*"}, ("*",), ("*",)),
    ],
)
def test_what_was_said_stays(
    before: dict[str, str], upper: tuple[str, ...], lower: tuple[str, ...]
) -> None:
    environment = dict(before)
    for _ in range(2):  # again is the same
        spare_loopback(environment)
        assert environment == {"NO_PROXY": ",".join(upper), "no_proxy": ",".join(lower)}
