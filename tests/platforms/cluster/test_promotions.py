"""Promotions to and fro under load, on a cluster where everything is installed.

Needs a platform that is up: a kind cluster of ours, or that of `$CLOSEDLOOP_CONTEXT`.
`$PROMOTIONS` says how many, `$PROMOTION_RATE` how many predictions a second. It says what it
counted; each promotion takes about a minute.
"""

import contextlib
import os
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan

from closedloop.judging.promotion import KIND, promote, roles
from closedloop.models.train import held_out, train
from closedloop.notebook.traffic import Plan, Traffic
from closedloop.notebook.waiting import until
from closedloop.platforms import connect
from closedloop.platforms.protocol import Platform

PROMOTIONS = int(os.environ.get("PROMOTIONS", "2"))
RATE = float(os.environ.get("PROMOTION_RATE", "10"))
QUIET = 3.0  # seconds of traffic before the first promotion and after the last

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300 + 180 * PROMOTIONS),
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]


@dataclass
class Counted:
    """What the clients saw, and what the log has of it, by predictor."""

    sent: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rows: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def incomplete(self) -> int:
        return sum(n for rows in self.rows.values() for kind, n in rows.items() if kind != "whole")


@pytest.fixture(scope="module")
def platform() -> Platform:
    platform = connect("cluster")
    if not platform.status():
        pytest.skip("nothing is installed: `closedloop up --platform cluster` first")
    platform.apply("request-logger", "metrics-server", "models/iris-perf-shadow.yaml")
    for name in ("seldon-request-logger", "seldon-metrics-server"):
        platform.wait("Deployment", name, "seldon-logs", condition="Available", timeout=300)
    platform.wait(KIND, "iris-perf", "seldon", timeout=600)
    return platform


def _what(document: dict[str, object]) -> str:
    """Which parts of a row the log has: `whole`, or those that it lacks."""
    lacking = [part for part in ("request", "response", "feedback") if part not in document]
    return f"without {', '.join(lacking)}" if lacking else "whole"


def _rows(search: Elasticsearch, predictor: str, wanted: set[str]) -> Counter[str]:
    index = f"inference-log-seldon-seldon-iris-perf-{predictor}"
    search.options(ignore_status=404).indices.refresh(index=index)
    query = {"query": {"match_all": {}}, "_source": ["request.ce-time", "*.ce-time"]}
    found = {
        hit["_id"]: _what(hit["_source"])
        for hit in scan(search, index=index, query=query, size=5000)
        if hit["_id"] in wanted
    }
    return Counter(found.get(puid, "no document") for puid in wanted)


@pytest.fixture(scope="module")
def counted(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """Promote so often while traffic flows, and count everything that was sent."""
    folder = tmp_path_factory.mktemp("models")
    train(folder)
    rows = held_out(folder)
    url = f"{platform.url('istio-system/istio-ingressgateway')}/seldon/seldon/iris-perf"
    seconds = 2 * QUIET + 600.0 * PROMOTIONS
    labels = [row.label for row in rows]
    plan = Plan([row.features for row in rows], labels=labels, seconds=seconds, rate=RATE)
    first = roles(platform.get(KIND, "iris-perf", "seldon"))
    answered: set[str] = set()
    counted = Counted()

    def promotions() -> None:
        for _ in range(PROMOTIONS):
            promote(platform, "seldon", "iris-perf")

    with ThreadPoolExecutor(1) as pool, Traffic(url, plan, threads=8, timeout=30) as traffic:
        promoting: Future[None] | None = None
        end = 0
        for number, record in enumerate(traffic):
            if record.kind == "feedback" and not record.failed:
                answered.add(record.puid)
            if promoting is None and number > QUIET * RATE:
                promoting = pool.submit(promotions)
            if promoting is not None and promoting.done():
                end = end or number
                if number > end + QUIET * RATE:
                    break
        assert promoting is not None
        promoting.result()
    counted.sent = traffic.tally.predictions + traffic.tally.feedback
    counted.failed = traffic.tally.failed
    counted.reasons.update(traffic.tally.reasons)
    search = Elasticsearch(platform.url("seldon-logs/elasticsearch"), request_timeout=60)

    def logged() -> dict[str, Counter[str]]:
        return {name: _rows(search, name, answered) for name in (first.serving, first.shadow)}

    def whole(rows: dict[str, Counter[str]]) -> bool:
        counted.rows = rows
        return all(set(each) == {"whole"} for each in rows.values())

    with contextlib.suppress(TimeoutError):  # the tests say what is missing
        until(logged, whole, what="the log of everything that was sent", timeout=60, every=5)
    print(f"{PROMOTIONS} promotions:", counted)  # noqa: T201  # the figures are the point
    return counted


def test_no_request_fails(counted: Counted) -> None:
    assert (counted.failed, counted.reasons) == (0, {})
    assert counted.sent > 2 * QUIET * RATE


def test_no_event_is_lost(counted: Counted) -> None:
    assert counted.incomplete == 0, counted.rows
