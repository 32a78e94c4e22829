"""All parts and the walkthrough's own manifests, on one platform for the whole file."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from elasticsearch import Elasticsearch

from closedloop.notebook.waiting import until
from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.protocol import PARTS, PlatformError
from tests.platforms.embedded.run.processes import descendants, listening, runs

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(300)]

FLOWER = {"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
PATIENCE = 120.0
INDEX = "inference-log-seldon-seldon-sklearn-default"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("whole") / "a home"
    home.mkdir()
    # What is installed once serves every run.
    parts = parts_folder()
    parts.mkdir(parents=True, exist_ok=True)
    (home / "parts").symlink_to(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDLOOP_ROOT", str(checkout_root()))
        patch.setenv("CLOSEDLOOP_HOME", str(home))
        patch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL", raising=False)
        yield home


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[EmbeddedPlatform]:
    one = EmbeddedPlatform(parent_pid=os.getpid())
    try:
        one.apply("namespaces")
        for part in reversed(PARTS):  # any order will do
            one.install(part)
        one.apply("istio/gateway.yaml", "monitoring", "request-logger", "knative-eventing")
        one.wait("Broker", "default", "seldon-logs")
        one.wait("Deployment", "seldon-request-logger", "seldon-logs", condition="Available")
        one.apply("models/sklearn.yaml")
        one.wait("SeldonDeployment", "sklearn", "seldon")
        yield one
    finally:
        one.down()


def _predict(platform: EmbeddedPlatform, name: str = "sklearn") -> requests.Response:
    gateway = platform.url("istio-system/istio-ingressgateway")
    url = f"{gateway}/seldon/seldon/{name}/api/v1.0/predictions"
    return requests.post(url, json=FLOWER, timeout=60)


def _logged(platform: EmbeddedPlatform, puid: str) -> dict[str, Any]:
    with Elasticsearch(platform.url("seldon-logs/elasticsearch")) as client:
        found = client.options(ignore_status=404).get(index=INDEX, id=puid)
    return dict(found.get("_source", {}))


def test_installing_again_changes_nothing(platform: EmbeddedPlatform, home: Path) -> None:
    found = state.read(home / "platform")
    assert found
    before = descendants(found.pid)
    for part in PARTS:
        assert {row.state for row in platform.install(part)} == {"ready"}
    assert before <= descendants(found.pid)


def test_every_part_has_something_to_say(platform: EmbeddedPlatform) -> None:
    said = {row.part: platform.logs(row.part, 1) for row in platform.status()}
    assert "seldon/sklearn-default-0-classifier" in said["seldon-core"]


def test_search_server_that_is_there_stays(
    platform: EmbeddedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSEDLOOP_ELASTICSEARCH_URL", "http://127.0.0.1:1")
    with pytest.raises(
        PlatformError, match=r"elasticsearch is at http.* already.* `closedloop down`"
    ):
        platform.install("elasticsearch")


def test_prediction_is_answered_and_logged(platform: EmbeddedPlatform) -> None:
    answer = _predict(platform)
    assert answer.status_code == 200
    puid = answer.headers["Seldon-Puid"]
    document = until(
        lambda: _logged(platform, puid),
        lambda one: "response" in one,
        what="the logged answer",
        timeout=PATIENCE,
        diagnose=lambda: platform.logs("broker"),
    )
    assert document["response"]["payload"]["data"] == answer.json()["data"]


def test_every_part_is_shown(platform: EmbeddedPlatform) -> None:
    # A busy machine may fail a probe; what matters is that everything comes to be ready.
    rows = until(
        lambda: {row.part: row for row in platform.status()},
        lambda rows: {row.state for row in rows.values()} == {"ready"},
        what="every part to be ready",
        timeout=PATIENCE,
    )
    assert {"envoy", "prometheus", "alertmanager", "nats", "broker", "elasticsearch"} <= set(rows)
    assert all(row.version for row in rows.values())
    assert "in memory only" in rows["elasticsearch"].note
    assert "seldon/sklearn-default-0-classifier" in rows


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("monitoring/monitoring-kube-prometheus-prometheus", "/-/ready"),
        ("monitoring/monitoring-kube-prometheus-alertmanager", "/-/ready"),
        ("knative-eventing/broker-ingress", "/ready"),
        ("seldon-logs/elasticsearch", "/"),
        ("seldon-logs/seldon-request-logger", "/ready"),
    ],
)
def test_well_known_services_answer(platform: EmbeddedPlatform, service: str, path: str) -> None:
    assert requests.get(platform.url(service) + path, timeout=60).status_code == 200


def test_prometheus_scrapes_models_and_components(platform: EmbeddedPlatform) -> None:
    url = platform.url("monitoring/monitoring-kube-prometheus-prometheus")

    def up() -> set[tuple[str, str]]:
        query = {"query": "up == 1"}
        found = requests.get(f"{url}/api/v1/query", params=query, timeout=60).json()
        return {
            (one["metric"]["namespace"], one["metric"]["container"])
            for one in found["data"]["result"]
        }

    wanted = {
        ("seldon-logs", "request-logger"),
        ("seldon", "classifier"),
        ("seldon", "seldon-container-engine"),
    }
    until(up, lambda seen: wanted <= seen, what=f"samples of {wanted}", timeout=PATIENCE)


def test_bad_rule_is_refused_and_the_good_ones_stay(platform: EmbeddedPlatform) -> None:
    bad = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "bad", "namespace": "monitoring"},
        "spec": {"groups": [{"name": "g", "rules": [{"record": "r", "expr": "sum(("}]}]},
    }
    with pytest.raises(PlatformError, match="Prometheus would refuse a rule"):
        platform.apply(bad)
    names = [one["metadata"]["name"] for one in platform.objects("PrometheusRule")]  # type: ignore[index]  # plain JSON
    assert names == ["closedloop"]


def test_nothing_listens_beyond_loopback(platform: EmbeddedPlatform, home: Path) -> None:
    found = state.read(home / "platform")
    assert found
    addresses = listening(descendants(found.pid))
    assert len(addresses) > 12
    assert {address for address in addresses if not address.startswith("127.")} == set()


def test_model_is_changed_and_gets_a_shadow_without_a_failed_request(
    platform: EmbeddedPlatform,
) -> None:
    platform.apply("models/iris-perf.yaml")
    platform.wait("SeldonDeployment", "iris-perf", "seldon")
    statuses: list[int] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            statuses.append(_predict(platform, "iris-perf").status_code)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        platform.apply("models/iris-perf-shadow.yaml")
        platform.wait("SeldonDeployment", "iris-perf", "seldon")
        platform.apply("models/iris-perf.yaml")
        platform.wait("SeldonDeployment", "iris-perf", "seldon")
        until(
            lambda: [row.part for row in platform.status() if row.part.startswith("seldon/iris")],
            lambda parts: len(parts) == 1,
            what="the shadow to go",
            timeout=PATIENCE,
        )
        until(lambda: len(statuses) > 20, what="more than 20 answers", timeout=PATIENCE)
    finally:
        done.set()
        caller.join()
    assert set(statuses) == {200}
    platform.delete("models/iris-perf.yaml")
    assert _predict(platform, "iris-perf").status_code == 404


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["nats", "broker", "seldon-logs/seldon-request-logger"])
def test_killed_part_loses_no_event(platform: EmbeddedPlatform, part: str) -> None:
    platform.restart(part, kill=True)
    puid = _predict(platform).headers["Seldon-Puid"]
    until(
        lambda: _logged(platform, puid),
        lambda one: {"request", "response"} <= one.keys(),
        what="the logged answer",
        timeout=PATIENCE,
        diagnose=lambda: platform.logs("broker"),
    )


@pytest.mark.chaos
def test_log_comes_back_after_the_search_server_lost_it(platform: EmbeddedPlatform) -> None:
    puid = _predict(platform).headers["Seldon-Puid"]
    until(
        lambda: _logged(platform, puid),
        lambda one: "response" in one,
        what="the logged answer",
        timeout=PATIENCE,
    )
    platform.restart("elasticsearch", kill=True)
    until(
        lambda: _logged(platform, puid),
        lambda one: {"request", "response"} <= one.keys(),
        what="the replayed answer",
        timeout=PATIENCE,
        diagnose=lambda: platform.logs("seldon-logs/seldon-request-logger"),
    )
    (row,) = (row for row in platform.status() if row.part == "elasticsearch")
    assert row.restarts == 1


@pytest.mark.chaos
def test_killed_daemon_takes_model_servers_with_it(platform: EmbeddedPlatform, home: Path) -> None:
    found = state.read(home / "platform")
    assert found
    everything = descendants(found.pid)
    os.kill(found.pid, signal.SIGKILL)
    until(
        lambda: [pid for pid in everything if runs(pid)],
        lambda left: not left,
        what="every process to end",
        timeout=PATIENCE,
    )
