import json
from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop import events
from closedloop.documents import (
    Document,
    Predictor,
    actual_class,
    answers_of,
    document_id,
    index_name,
    judgements_of,
    merge,
    parts_of,
    predicted_class,
    predictor_of,
    row_of,
)
from closedloop.events import Event, InvalidEvent
from closedloop.scoring import Outcome

NAMES = ["cat", "dog", "bird"]
TYPES = {"request": events.REQUEST, "response": events.RESPONSE, "feedback": events.FEEDBACK}


def event(kind: str, message: object, *, second: int = 0, request_id: str = "r") -> Event:
    return Event(
        id=f"{kind}-{second}", source="http://:8000/", type=TYPES[kind],
        time=f"2026-01-31T12:00:{second:02d}Z", request_id=request_id, namespace="seldon",
        deployment="sklearn", predictor="default", model="classifier",
        content_type="application/json", body=json.dumps(message).encode(),
    )  # fmt: skip


def answer(*rows: object, second: int = 1, names: list[str] | None = None) -> Event:
    data = {"names": NAMES if names is None else names, "ndarray": list(rows)}
    return event("response", {"data": data}, second=second)


def truth(*rows: object, second: int = 2) -> Event:
    return event("feedback", {"truth": {"data": {"ndarray": list(rows)}}}, second=second)


def reward(value: object, second: int = 2) -> Event:
    return event("feedback", {"reward": value}, second=second)


def log(*happened: Event) -> dict[str, Any]:
    documents: dict[str, Any] = {}
    for one in happened:
        for part in parts_of(one):
            documents[part.document_id], _ = merge(documents.get(part.document_id), part)
    return documents


def outcomes(*happened: Event) -> list[Outcome]:
    known: Document | None = None
    seen = []
    for one in happened:
        known, outcome = merge(known, *parts_of(one))
        seen.append(outcome)
    return seen


def test_index_and_document_names() -> None:
    assert index_name("seldon", "Iris", "default") == "inference-log-seldon-seldon-iris-default"
    assert index_name('a"b', "c/d", "e f") == "inference-log-seldon-ab-cd-ef"
    assert (document_id("r", 0, 1), document_id("r", 1, 2)) == ("r", "r-item-1")


def test_request_response_and_feedback_meet_in_one_document() -> None:
    happened = [
        event("request", {"data": {"names": ["x", "y"], "ndarray": [[1, 2]]}}),
        answer([0.1, 0.9, 0]),
        truth(1),
    ]
    for order in permutations(happened):
        (document,) = log(*order).values()
        assert document["request"]["elements"] == {"x": 1, "y": 2}
        assert document["response"]["instance"] == [0.1, 0.9, 0]
        assert document["feedback"]["instance"] == 1
        assert document["@timestamp"] == "2026-01-31T12:00:00Z"
        assert document["score"] == {
            "state": "scored", "correct": True, "predicted": "dog", "actual": "dog",
        }  # fmt: skip


def test_a_batch_is_one_document_a_row() -> None:
    documents = log(answer([1, 0, 0], [0, 1, 0]), truth([1, 0, 0], "cat"))
    assert documents["r-item-0"]["score"]["correct"] is True
    assert documents["r-item-1"]["score"] == {
        "state": "scored", "correct": False, "predicted": "dog", "actual": "cat",
    }  # fmt: skip
    assert [documents[f"r-item-{i}"]["Row"] for i in range(2)] == [0, 1]


def test_a_truth_of_null_says_nothing_of_its_row() -> None:
    documents = log(answer([1, 0, 0], [0, 1, 0]), truth(None, 1))
    assert "feedback" not in documents["r-item-0"]
    assert documents["r-item-1"]["score"]["correct"] is True


def test_large_batches_do_not_repeat_the_payload_in_every_row() -> None:
    rows = [[1, 0, 0]] * 101
    feedback = {"request": "big", "truth": {"data": {"names": NAMES, "ndarray": [2] * 101}}}
    documents = log(answer(*rows, names=[]), event("feedback", feedback, second=2))
    first, last = documents["r-item-0"], documents["r-item-100"]
    assert "payload" in first["response"]
    assert "payload" not in last["response"]
    assert first["feedback"]["truth"] == feedback["truth"]
    assert last["feedback"]["truth"] == {"data": {"names": NAMES}}
    assert "request" not in last["feedback"]
    assert row_of(first).actual == row_of(last).actual


def test_large_payloads_are_not_repeated_in_every_row() -> None:
    body = {"data": {"ndarray": [["x" * 600_000], ["y"]]}}
    documents = log(event("response", body, second=1))
    assert "payload" in documents["r-item-0"]["response"]
    assert "payload" not in documents["r-item-1"]["response"]


def test_the_newest_truth_wins_and_the_older_are_kept() -> None:
    happened = [truth(i, second=i) for i in range(3)]
    for order in permutations(happened):
        (document,) = log(*order).values()
        assert document["feedback"]["instance"] == 2
        assert [old["instance"] for old in document["feedback_history"]] == [0, 1]


def test_outcomes_are_those_of_the_scoreboard() -> None:
    first, second, third = (truth(1, second=i) for i in (1, 2, 3))
    assert outcomes(second, second, first, first, third) == [
        Outcome.APPLIED, Outcome.DUPLICATE, Outcome.SUPERSEDED, Outcome.DUPLICATE,
        Outcome.CORRECTED,
    ]  # fmt: skip


def test_a_reward_is_stored_as_a_number() -> None:
    (document,) = log(answer([1, 0, 0]), reward(True)).values()
    assert type(document["feedback"]["reward"]) is float
    assert document["score"] == {"state": "scored", "correct": True}


def test_what_a_sender_calls_instance_is_not_taken_for_the_truth() -> None:
    (document,) = log(answer([1, 0, 0]), event("feedback", {"reward": 0, "instance": 0})).values()
    assert document["score"] == {"state": "scored", "correct": False}


def test_an_answer_without_a_class_is_kept_and_unscorable() -> None:
    (document,) = log(answer([0.5], names=[]), truth(1)).values()
    assert document["score"] == {"state": "unscorable"}


@pytest.mark.parametrize(("said", "true"), [(2, "bird"), ("bird", 2)])
def test_index_and_name_without_names_are_unscorable(said: object, true: object) -> None:
    (document,) = log(answer(said, names=[]), truth(true)).values()
    assert document["score"] == {"state": "unscorable"}


def test_an_answer_without_rows_is_kept() -> None:
    (document,) = log(answer()).values()
    assert document["response"]["instance"] is None


def test_a_request_alone_has_no_score() -> None:
    (document,) = log(event("request", {"data": {"ndarray": [[1, 2]]}})).values()
    assert "score" not in document
    assert not row_of(document).answered


def test_merge_changes_neither_argument() -> None:
    (known,) = log(answer([1, 0, 0]), truth(1)).values()
    before = json.dumps(known)
    (part,) = parts_of(truth(2, second=9))
    content = json.dumps(part.content)
    merge(known, part)
    assert (json.dumps(known), json.dumps(part.content)) == (before, content)


def test_whose_document_it_is() -> None:
    (document,) = log(truth(1)).values()
    assert predictor_of(document) == Predictor("seldon", "sklearn", "default")
    with pytest.raises(InvalidEvent, match="Ce-Namespace"):
        predictor_of({"RequestId": "r"})


def test_reads_the_documents_of_seldons_own_logger() -> None:
    row = row_of(
        {
            "response": {"instance": [0.1, 0.9], "ce-time": "2026-01-31T12:00:00Z"},
            "feedback": {"reward": 1, "truth": None, "ce-time": "2026-01-31T12:00:01Z"},
        }
    )
    assert (row.predicted and row.predicted.index, row.reward) == (1, 1)
    assert row.answered < row.judged


@pytest.mark.parametrize(
    "document",
    [
        {"response": {"instance": [1, 0]}},
        {"response": {"instance": [1, 0], "ce-time": 5}},
        {"feedback": {"reward": 1, "ce-time": "soon"}},
        {"feedback": {"instance": {}, "ce-time": "2026-01-31T12:00:00Z"}},
    ],
)
def test_refuses_a_document_that_it_cannot_read(document: Document) -> None:
    with pytest.raises(InvalidEvent):
        row_of(document)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": {}}', b'{"data": {"ndarray": [1e999]}}']
)
@pytest.mark.parametrize("kind", TYPES)
def test_a_body_that_cannot_be_read_is_refused_whole(kind: str, body: bytes) -> None:
    one = event(kind, {})
    with pytest.raises(InvalidEvent):
        parts_of(Event(**{name: getattr(one, name) for name in one.__slots__} | {"body": body}))


ROWS = st.sampled_from([0, 1, 2, "cat", "bird", [0, 1, 0], [0.2, 0.3, 0.5], [0.5]])
TRUTHS = st.sampled_from([0, 1, 2, "cat", "fish", [0, 0, 1], None])
HAPPENED = st.lists(
    st.one_of(
        st.builds(lambda rows, at, names: answer(*rows, second=at, names=names),
                  st.lists(ROWS, min_size=1, max_size=2), st.integers(0, 59),
                  st.sampled_from([NAMES, []])),
        st.builds(lambda rows, at: truth(*rows, second=at),
                  st.lists(TRUTHS, min_size=1, max_size=2).filter(lambda rows: rows != [None] *
                  len(rows)), st.integers(0, 59)),
        st.builds(lambda names, at: event("feedback", {"truth": {"data": {"names": names,
                  "ndarray": [[0, 1, 0]]}}}, second=at),
                  st.sampled_from([NAMES, NAMES[::-1], NAMES[:2]]), st.integers(0, 59)),
        st.builds(lambda at: event("response", {"strData": "cat"}, second=at), st.integers(0, 59)),
        st.builds(reward, st.sampled_from([0, 1, True]), st.integers(0, 59)),
    ),
    max_size=8,
    unique_by=lambda one: (one.type, one.time),
)  # fmt: skip


@given(HAPPENED.flatmap(lambda happened: st.tuples(st.just(happened), st.permutations(happened))))
def test_order_does_not_matter(case: tuple[list[Event], list[Event]]) -> None:
    one, other = case
    assert log(*one) == log(*other)


@given(HAPPENED, st.data())
def test_repeating_does_not_matter(happened: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(happened))) if happened else []
    assert log(*happened, *again) == log(*happened)


@given(HAPPENED)
def test_what_events_say_is_what_their_parts_say(happened: list[Event]) -> None:
    for one in happened:
        parts = parts_of(one)
        if one.type == events.RESPONSE:
            said = [(part.document_id, *predicted_class(part.content)) for part in parts]
            assert answers_of(one) == said
        else:
            judged = [(part.document_id, *actual_class(part.content)) for part in parts]
            assert judgements_of(one) == judged
        assert {part.stamp for part in parts} == {one.stamp}


@given(HAPPENED)
def test_the_score_is_the_row_s_own(happened: list[Event]) -> None:
    documents = log(*happened)
    states = Counter(document["score"]["state"] for document in documents.values())
    assert states.total() == len(documents)
    for document in documents.values():
        row = row_of(document)
        assert (document["score"]["state"] == "unlabelled") == (not row.judged)
        assert (document["score"]["state"] == "unmatched") == (not row.answered)
