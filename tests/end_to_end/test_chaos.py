"""Each part killed in the middle of traffic: the loop recovers, and what was accepted counts once.

"Accepted" is what the broker answered 202 for, and that is what its stream holds.
What may be lost is said here, part by part. Seldon's executor makes one attempt
for each event and keeps its queue in memory; so events are lost with a killed
executor, and while nobody takes them: the broker, or Envoy, which stands in front
of it. They are counted by the executor that could not deliver them.
"""

from collections import Counter

import pytest

from closedloop.loop.keys import INDEX_PATTERN
from tests.end_to_end.accepted import Accepted, documents
from tests.end_to_end.loop import METRICS_SERVER, REQUEST_LOGGER, Loop, Sending

pytestmark = [pytest.mark.embedded, pytest.mark.chaos, pytest.mark.timeout(600)]

_nightly = pytest.mark.nightly
# Killing these is felt neither by a client nor by an executor.
_UNNOTICED = (
    REQUEST_LOGGER,
    *(
        pytest.param(part, marks=_nightly)
        for part in (
            "nats",
            METRICS_SERVER,
            "seldon-logs/alert-logger",
            "prometheus",
            "alertmanager",
            "elasticsearch",
        )
    ),
)
# How a request in flight may end: the gateway's or the executor's error, a broken connection.
_VISIBLE = {"http 500", "http 502", "http 503", "http 504", "connection"}


@pytest.mark.parametrize("part", _UNNOTICED)
def test_killed_part_costs_nothing(loop: Loop, part: str) -> None:
    prefix, failed_before = loop.prefix(), _failed(loop)
    sending = _kill_in_traffic(loop, part, prefix)
    assert sending.traffic.tally.failed == 0
    accepted = _accepted(loop, prefix)
    for kind, answered in (
        ("request", sending.answered()),
        ("response", sending.answered()),
        ("feedback", sending.answered("feedback")),
    ):
        assert {one.puid for one in accepted if one.kind == kind} == answered
    assert _failed(loop) == failed_before
    _all_in_log(loop, prefix, accepted)


@pytest.mark.parametrize("part", ["broker", "envoy"])
def test_killed_way_to_the_broker_loses_only_what_is_counted(loop: Loop, part: str) -> None:
    prefix, failed_before = loop.prefix(), _failed(loop)
    sending = _kill_in_traffic(loop, part, prefix)
    tally = sending.traffic.tally
    if part == "broker":
        assert tally.failed == 0
    assert {one.reason for one in sending.records if one.failed} <= _VISIBLE
    accepted = _accepted(loop, prefix)
    lost = Counter(
        kind
        for kind, answered in (
            ("request", sending.answered()),
            ("response", sending.answered()),
            ("feedback", sending.answered("feedback")),
        )
        for _ in answered - {one.puid for one in accepted if one.kind == kind}
    )
    assert lost <= _failed(loop) - failed_before
    _all_in_log(loop, prefix, accepted)


@pytest.mark.parametrize(
    "part", ["executor sklearn/default", pytest.param("model sklearn/default", marks=_nightly)]
)
def test_killed_model_or_executor_fails_visibly(loop: Loop, part: str) -> None:
    prefix, failed_before = loop.prefix(), _failed(loop)
    sending = _kill_in_traffic(loop, part, prefix)
    failed = [one for one in sending.records if one.failed]
    assert failed, "nothing was in flight, nor sent before it was back"
    assert {one.reason for one in failed} <= _VISIBLE
    assert sending.traffic.tally.failed == len(failed)
    accepted = _accepted(loop, prefix)
    logged = {one.puid for one in accepted if one.kind == "response"}
    if part.startswith("model"):
        assert sending.answered() <= logged
        assert _failed(loop) == failed_before
    else:
        # Its queue went with it; what was answered after the last failure is all there.
        last = max(one.started for one in failed)
        later = {
            one.puid for one in sending.records if one.started > last and one.kind == "prediction"
        }
        assert later
        assert later <= logged
    _all_in_log(loop, prefix, accepted)


def test_lost_log_comes_back_and_nobody_else_notices(loop: Loop) -> None:
    prefix = loop.prefix()
    with loop.traffic(prefix) as sending:
        sending.wait_for(20)
    before = loop.settle()
    documents_before = loop.logged(prefix)
    server = loop.pid(METRICS_SERVER)
    old = loop.kill("elasticsearch")
    loop.recovered("elasticsearch", old)
    assert loop.scores_of_server() == before
    assert loop.settle() == before
    back = loop.logged(prefix)
    assert {key: _without_time(one) for key, one in back.items()} == {
        key: _without_time(one) for key, one in documents_before.items()
    }
    assert loop.pid(METRICS_SERVER) == server
    # Not guessed from the first document: the template was there before it.
    mapping = loop.search.indices.get_mapping(index=INDEX_PATTERN)
    for index in mapping.values():
        assert index["mappings"]["properties"]["RequestId"]["type"] == "keyword"
    (row,) = (row for row in loop.platform.status() if row.part == "seldon-logs/elasticsearch")
    assert row.restarts
    assert "in memory only" in row.note


@_nightly
def test_metrics_server_restarted_while_the_log_is_lost_remembers_in_the_end(loop: Loop) -> None:
    before = loop.settle()
    search, server = loop.kill("elasticsearch"), loop.kill(METRICS_SERVER)
    loop.recovered("elasticsearch", search)
    loop.recovered(METRICS_SERVER, server)
    assert loop.settle() == before


def _kill_in_traffic(loop: Loop, part: str, prefix: str) -> Sending:
    loop.settle()
    with loop.traffic(prefix) as sending:
        sending.wait_for(15)
        old = loop.kill(part)
        loop.recovered(part, old)
        sending.wait_for(15)
    loop.settle()
    return sending


def _failed(loop: Loop) -> Counter[str]:
    return loop.executor_counts("failed", "dropped")


def _accepted(loop: Loop, prefix: str) -> list[Accepted]:
    return [one for one in loop.stream.events() if one.puid.startswith(f"{prefix}-")]


def _all_in_log(loop: Loop, prefix: str, accepted: list[Accepted]) -> None:
    """Every accepted event is in its document, once, and nothing else is."""
    wanted: dict[str, list[str]] = {}
    for event in accepted:
        for document in documents(event):
            wanted.setdefault(document, []).append(event.id)
    found = {
        key: [
            part["ce-id"]
            for name in ("request", "response", "feedback")
            for part in ([one[name]] if name in one else [])
            + (one.get("feedback_history", []) if name == "feedback" else [])
        ]
        for key, one in loop.logged(f"{prefix}-").items()
    }
    assert {key: sorted(ids) for key, ids in found.items()} == {
        key: sorted(ids) for key, ids in wanted.items()
    }


def _without_time(document: dict[str, object]) -> dict[str, object]:
    times = ("logged_at", "first_logged_at")
    return {name: value for name, value in document.items() if name not in times}
