"""The parts of a whole platform: what each shows of itself, and what it refuses."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from closedloop.notebook.waiting import until
from closedloop.paths import checkout_root
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.parts import PARTS, named
from closedloop.platforms.protocol import PlatformError
from tests.end_to_end.loop import PATIENCE, Loop
from tests.platforms.embedded.run.processes import descendants, runs

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


def test_installing_again_changes_nothing(loop: Loop) -> None:
    before = descendants(loop.daemon)
    for part in PARTS:
        assert {row.state for row in loop.platform.install(part)} == {"ready"}
    assert before <= descendants(loop.daemon)


def test_every_part_is_shown_and_has_something_to_say(loop: Loop) -> None:
    rows = {row.part: row for row in loop.platform.status()}
    parts = ("envoy", "prometheus", "alertmanager", "nats", "broker", "elasticsearch")
    for name in parts:
        assert any(one.path in rows for one in named(name)), name
        assert isinstance(loop.platform.logs(name, 1), str)
    assert all(row.version for row in rows.values())
    assert "in memory only" in rows["seldon-logs/elasticsearch"].note
    assert "seldon/sklearn-default-0-classifier" in rows
    assert all(isinstance(loop.platform.logs(part, 1), str) for part in rows)
    assert "inside the pods of models" in loop.platform.logs("seldon-core", 1)
    assert loop.platform.logs("seldon/sklearn", 1)


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
def test_well_known_services_answer(loop: Loop, service: str, path: str) -> None:
    assert requests.get(loop.platform.url(service) + path, timeout=60).status_code == 200


def test_search_server_that_is_there_stays(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEDLOOP_ELASTICSEARCH_URL", "http://127.0.0.1:1")
    with pytest.raises(PlatformError, match=r"elasticsearch is at http.* already"):
        loop.platform.install("elasticsearch")


def test_bad_rule_is_refused_and_the_good_ones_stay(loop: Loop) -> None:
    bad = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "bad", "namespace": "monitoring"},
        "spec": {"groups": [{"name": "g", "rules": [{"record": "r", "expr": "sum(("}]}]},
    }
    with pytest.raises(PlatformError, match="Prometheus would refuse a rule"):
        loop.platform.apply(bad)
    names = [one["metadata"]["name"] for one in loop.platform.objects("PrometheusRule")]  # type: ignore[index]  # plain JSON
    assert names == ["closedloop"]


@pytest.fixture
def alone(tmp_path: Path, shared_parts: Path) -> Iterator[EmbeddedPlatform]:
    """A platform of the test's own, with nothing on it."""
    home = tmp_path / "a home"
    home.mkdir()
    (home / "parts").symlink_to(shared_parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDLOOP_ROOT", str(checkout_root()))
        patch.setenv("CLOSEDLOOP_HOME", str(home))
        patch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL", raising=False)
        one = EmbeddedPlatform(parent_pid=os.getpid())
        try:
            yield one
        finally:
            one.down()


@pytest.mark.nightly
@pytest.mark.chaos
def test_parts_come_in_any_order_models_change_under_traffic_and_go_with_the_daemon(
    alone: EmbeddedPlatform, tmp_path: Path
) -> None:
    alone.apply("namespaces")
    for part in reversed([*PARTS]):
        alone.install(part)
    alone.apply("istio/gateway.yaml", "models/outputs.yaml", "models/iris-perf.yaml")
    alone.wait("SeldonDeployment", "iris-perf", "seldon", timeout=300)
    url = f"{alone.url('istio-system/istio-ingressgateway')}/seldon/seldon/iris-perf"
    statuses: list[int] = []
    done = threading.Event()

    def call() -> int:
        flower = {"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
        return requests.post(f"{url}/api/v1.0/predictions", json=flower, timeout=60).status_code

    def keep_calling() -> None:
        while not done.is_set():
            statuses.append(call())

    caller = threading.Thread(target=keep_calling)
    caller.start()
    try:
        for manifest in ("models/iris-perf-shadow.yaml", "models/iris-perf.yaml"):
            alone.apply(manifest)
            alone.wait("SeldonDeployment", "iris-perf", "seldon", timeout=300)
        until(
            lambda: [row.part for row in alone.status() if row.part.startswith("seldon/iris")],
            lambda parts: len(parts) == 1,
            what="the shadow to go",
            timeout=PATIENCE,
        )
        until(lambda: len(statuses) > 20, what="more than 20 answers", timeout=PATIENCE)
    finally:
        done.set()
        caller.join()
    assert set(statuses) == {200}

    found = state.read(tmp_path / "a home" / "platform")
    assert found
    everything = descendants(found.pid)
    os.kill(found.pid, signal.SIGKILL)
    until(
        lambda: [pid for pid in everything if runs(pid)],
        lambda left: not left,
        what="every process to end",
        timeout=PATIENCE,
    )
