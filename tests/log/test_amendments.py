import json
from collections.abc import Sequence

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.log import (
    Correction,
    NothingLoggedError,
    amend,
    audit_trail,
    evaluate,
    versions,
)
from closedloop.loop import events
from closedloop.loop.documents import feedback_in, merge
from closedloop.loop.events import Event
from closedloop.loop.observation import observe
from closedloop.loop.output import read_output
from closedloop.loop.payload import feedback_of
from closedloop.loop.scoring import Scoreboard
from closedloop.loop.scoring.reading import Said
from closedloop.loop.sections import Document, sections_of
from tests.inference_log import Log, empty
from tests.model_server import model

CLASSES = read_output({"kind": "class", "classes": ["0", "1", "2"]})


def event(kind: str, number: int, minute: int, message: object) -> Event:
    return Event(
        id=f"event-{number}",
        source="test",
        type=kind,
        time=f"2026-01-01T00:{minute:02}:00Z",
        request_id="r",
        namespace="ns",
        deployment="dep",
        predictor="default",
        model="classifier",
        content_type="application/json",
        body=json.dumps(message).encode(),
    )


def said(number: int, minute: int, truth: int | None, reward: float | None) -> Event:
    body: dict[str, object] = {}
    if truth is not None:
        body["truth"] = {"data": {"ndarray": [str(truth)]}}
    if reward is not None or truth is None:
        body["reward"] = reward or 0.0
    return event(events.FEEDBACK, number, minute, body)


ANSWER = event(events.RESPONSE, 0, 0, {"data": {"ndarray": ["1"]}})

corrections = st.lists(
    st.builds(
        said,
        st.integers(1, 6),
        st.integers(0, 3),
        st.none() | st.integers(0, 2),
        st.none() | st.sampled_from([0.0, 1.0]),
    ),
    # One id at one time is one event, however often it is delivered.
    unique_by=lambda each: (each.id, each.time),
    min_size=1,
    max_size=8,
)


def log_and_score(observed: Sequence[Event]) -> tuple[Document, Scoreboard]:
    document: Document = {}
    board = Scoreboard(CLASSES)
    for each in observed:
        for part in sections_of(observe(each)):
            document, _ = merge(document, part, CLASSES)
            if part.name == "response":
                board.answer("r", part.stamp, [Said(label="1")])
            else:
                board.judge("r", part.stamp, feedback_in(part.content))
    return document, board


@given(corrections, st.data())
def test_whatever_is_corrected_in_whatever_order_all_places_agree(
    sent: list[Event], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(sent), max_size=4))
    delivered = data.draw(st.permutations([ANSWER, *sent, *again]))
    document, board = log_and_score(delivered)
    trail = versions(document, CLASSES)
    newest = max(sent, key=lambda each: each.stamp)
    # The trail has every piece of feedback once, oldest first, and the last one counts.
    assert [each.time for each in trail] == [
        each.time for each in sorted(sent, key=lambda each: each.stamp)
    ]
    assert [each.current for each in trail] == [False] * (len(sent) - 1) + [True]
    (part,) = sections_of(observe(newest))
    feedback = feedback_in(part.content)
    assert trail[-1].truth == (feedback.truths[0] if feedback.truths else None)
    assert trail[-1].reward == feedback.reward
    # The score, the document and the trail say the same of the answer.
    assert trail[-1].correct == bool(board.correct)
    score = document["score"]
    assert isinstance(score, dict)
    assert score["correct"] == trail[-1].correct
    assert (board.correct + board.incorrect, len(board)) == (1, 1)


@given(corrections)
def test_feedback_before_the_answer_is_no_verdict_yet(sent: list[Event]) -> None:
    document, board = log_and_score(sent)
    assert [each.correct for each in versions(document)] == [None] * len(sent)
    assert board.states["unmatched"] == 1


@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["single", "batch"]), st.integers(0, 2), st.integers(0, 2)),
        max_size=12,
    )
)
def test_amendments_through_the_log_move_every_count(
    search: Elasticsearch, wanted: list[tuple[str, int, int]]
) -> None:
    empty(search)
    log = Log()
    log.answer("single", 1)
    log.answer("batch", 0, 1, 2)
    truth: dict[tuple[str, int], list[int]] = {}
    sent = []
    for name, row, actual in wanted:
        row = 0 if name == "single" else row
        truth.setdefault((name, row), []).append(actual)
        said = str(actual)
        rows = [said] if name == "single" else [said if i == row else None for i in range(3)]
        sent.append(Correction(name, rows))
    with model() as server:
        assert all(not each.reason for each in amend(server.url, sent))
        for minute, (_, puid, body, _) in enumerate(server.calls):
            log.add(events.FEEDBACK, puid, body, f"2026-01-02T00:{minute:02}:00Z", "default")
    log.write(search)
    answers = {("single", 0): 1, **{("batch", i): i for i in range(3)}}
    right = sum(answers[key] == said[-1] for key, said in truth.items())
    seen = evaluate(search, "ns", "dep")
    assert (seen.correct, seen.scored) == (right, len(truth))
    for (name, row), actuals in truth.items():
        trail = audit_trail(
            search, "ns", "dep", "default", name, row=None if name == "single" else row
        )
        assert [each.truth for each in trail] == [str(actual) for actual in actuals]


def test_a_correction_is_feedback_with_the_requests_own_id() -> None:
    with model() as server:
        (done,) = amend(
            server.url + "/",
            [Correction("r1", [2], tags={"user": "ada"}, request={"data": {"ndarray": [[1.0]]}})],
        )
    ((path, puid, body, _),) = server.calls
    assert (path, puid) == ("/seldon/ns/name/api/v1.0/feedback", "r1")
    assert body == {
        "request": {"data": {"ndarray": [[1.0]]}},
        "truth": {"data": {"ndarray": [2]}, "meta": {"tags": {"user": "ada"}}},
    }
    assert (done.status, done.reason) == (200, "")


def test_rows_of_a_batch_that_stay_are_null() -> None:
    truth = feedback_of(Correction("r", [None, 1, None]).body()).truth
    assert truth is not None
    assert truth.rows == [None, 1, None]


def test_a_bad_correction_is_no_obstacle_to_the_others() -> None:
    with model(lambda n: (500, b"no", {}) if n == 1 else (200, b"{}", {})) as server:
        done = amend(
            server.url,
            [
                Correction("a", [1]),
                Correction("b", [None]),
                Correction("d", [1]),
                Correction("e", reward=1),
                Correction("line\nbreak", [1]),
            ],
        )
    assert [each.request_id for each in done if not each.reason] == ["a", "e"]
    reasons = {each.request_id: each.reason for each in done}
    assert "neither reward nor truth" in reasons["b"]
    assert reasons["d"] == "http 500: no"
    assert "not delivered" in reasons["line\nbreak"]


def test_a_gateway_that_is_not_there_is_a_reason() -> None:
    (done,) = amend("http://127.0.0.1:1", [Correction("a", [1])])
    assert done.status is None
    assert "not delivered" in done.reason


def test_the_trail_shows_who_said_what(search: Elasticsearch) -> None:
    log = Log(output=None)
    said = {"data": {"ndarray": ["dog"]}}
    log.add(events.RESPONSE, "r", said, "2026-01-01T00:00:00Z", "default")
    bodies: list[dict[str, object]] = [
        {"reward": 0},
        {"truth": {**said, "meta": {"tags": {"user": "ada"}}}},
    ]
    for minute, body in enumerate(bodies):
        log.add(events.FEEDBACK, "r", body, f"2026-01-01T01:0{minute}:00Z", "default")
    log.write(search)
    trail = audit_trail(search, "ns", "dep", "default", "r")
    assert [(each.truth, each.reward, each.correct) for each in trail] == [
        (None, 0.0, False),
        ("dog", None, True),
    ]
    assert trail[1].tags == {"user": "ada"}


def test_a_trail_says_what_was_compared_and_what_cannot_be() -> None:
    names = {"names": ["cat", "dog"], "ndarray": [[0, 1]]}
    told: list[dict[str, object]] = [{"ndarray": [1]}, names, {"ndarray": ["dog"]}]
    happened = [event(events.RESPONSE, 0, 0, {"data": {"ndarray": ["dog"]}})]
    happened += [
        event(events.FEEDBACK, i, i, {"truth": {"data": it}}) for i, it in enumerate(told, 1)
    ]
    document: Document = {}
    for one in happened:
        (part,) = sections_of(observe(one))
        document, _ = merge(document, part)
    assert [(each.truth, each.correct) for each in versions(document)] == [
        ("1", None), ("[0, 1]", None), ("dog", True)
    ]  # fmt: skip
    output = read_output({"kind": "class", "classes": ["cat", "dog"]})
    assert [(each.truth, each.correct) for each in versions(document, output)] == [
        ("dog", True), ("dog", True), ("dog", True)
    ]  # fmt: skip


def test_nothing_said_is_an_empty_trail(search: Elasticsearch) -> None:
    log = Log()
    log.answer("r", 1)
    log.write(search)
    assert audit_trail(search, "ns", "dep", "default", "r") == []


def test_an_unknown_request_or_predictor_is_named(search: Elasticsearch) -> None:
    log = Log()
    log.answer("r", 1)
    log.write(search)
    with pytest.raises(LookupError, match="r-item-3 is not in index"):
        audit_trail(search, "ns", "dep", "default", "r", row=3)
    with pytest.raises(NothingLoggedError, match="shadow"):
        audit_trail(search, "ns", "dep", "shadow", "r")
