import json
from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop import events
from closedloop.loop.documents import feedback_in, merge, read_document, row_in, scored
from closedloop.loop.events import Event, InvalidEvent
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import observe
from closedloop.loop.output import Output, read_output
from closedloop.loop.scoring import Outcome
from closedloop.loop.scoring.scoreboard import Feedback
from closedloop.loop.sections import PAYLOAD_BYTES, Document, lent, predictor_of, sections_of

NAMES = ["cat", "dog", "bird"]
TYPES = {section: kind for kind, section in events.SECTIONS.items()}


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


def log(*happened: Event, output: Output | None = None) -> dict[str, Any]:
    """The documents of a log that knew the answers to "r" when feedback about them came."""
    seen = [observe(one) for one in happened]
    sizes = {one.entries for one in seen if one.event.type == events.RESPONSE}
    documents: dict[str, Any] = {}
    for one in seen:
        rows = one.entries if one.entries in sizes else max(sizes, default=None)
        for part in sections_of(one, rows):
            documents[part.document_id], _ = merge(documents.get(part.document_id), part, output)
    return documents


def outcomes(*happened: Event) -> list[Outcome]:
    known: Document | None = None
    seen = []
    for one in happened:
        (part,) = sections_of(observe(one), 1)
        known, outcome = merge(known, part)
        seen.append(outcome)
    return seen


PETS = Predictor("seldon", "sklearn", "default")


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
    read = [feedback_in(document["feedback"]) for document in (first, last)]
    assert read[0] == read[1] == Feedback((2,), tuple(NAMES))


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
    assert document["score"] == {"state": "scored", "correct": True, "reward": 1.0}


def test_a_reward_that_is_a_measure_is_kept_as_one() -> None:
    (document,) = log(answer([1, 0, 0]), reward(0.0004)).values()
    assert document["score"] == {
        "state": "unscorable", "reason": "undeclared_reward", "reward": 0.0004,
    }  # fmt: skip


def test_what_a_sender_calls_instance_is_not_taken_for_the_truth() -> None:
    odd = {"reward": 0, "instance": 0, "": 1, "a..b": 2, "ce-id.x": 3, "rows": 7}
    (document,) = log(answer([1, 0, 0]), event("feedback", odd)).values()
    assert document["score"] == {"state": "scored", "correct": False, "reward": 0.0}
    # Elasticsearch takes no such names of fields, but in an object that it does not read.
    assert document["feedback"]["other"].keys() == odd.keys() - {"reward"}


@pytest.mark.parametrize(
    ("said", "true", "reason"),
    [
        ([0.5], 1, "undeclared_number"),
        (2, "bird", "undeclared_number"),
        ("bird", 2, "undeclared_truth"),
    ],
)
def test_what_is_not_certain_is_kept_and_says_why(said: object, true: object, reason: str) -> None:
    (document,) = log(answer(said, names=[]), truth(true)).values()
    assert document["score"] == {"state": "unscorable", "reason": reason}


def test_a_score_says_by_what_declaration() -> None:
    output = read_output({"kind": "probabilities", "classes": NAMES})
    (document,) = log(answer([0, 1, 0], names=[]), truth("dog"), output=output).values()
    assert document["score"] == {
        "state": "scored", "correct": True, "predicted": "dog", "actual": "dog", "brier": 0.0,
        "log_loss": pytest.approx(0), "output": output.digest,
    }  # fmt: skip
    other = read_output({"kind": "probabilities", "classes": ["a", "b", "c"]})
    again = scored(document, other)
    assert (again["score"]["state"], again["score"]["output"]) == ("unscorable", other.digest)  # type: ignore[index]  # it has a score
    assert document["score"]["output"] == output.digest


def test_a_score_of_several_labels_and_of_a_measure() -> None:
    output = read_output({"kind": "multilabel", "classes": NAMES})
    (document,) = log(answer([1, 0, 1], names=[]), truth(["dog", "cat"]), output=output).values()
    score = document["score"]
    assert score["predicted_labels"] == ["bird", "cat"]
    assert score["actual_labels"] == ["cat", "dog"]
    assert score["correct"] is False
    rate = read_output({"kind": "regression", "tolerance": 1})
    (document,) = log(answer(6.0, names=[]), truth(7.5), output=rate).values()
    assert {name: document["score"][name] for name in ("error", "squared_error", "correct")} == {
        "error": -1.5, "squared_error": 2.25, "correct": False,
    }  # fmt: skip


@pytest.mark.parametrize("size", [PAYLOAD_BYTES + 1, 2 * PAYLOAD_BYTES])
def test_feedback_that_repeats_a_large_request_counts_and_is_cut(size: int) -> None:
    feedback = {"request": {"strData": "x" * size}, "truth": {"data": {"ndarray": ["dog"]}}}
    (document,) = log(answer([0, 1, 0]), event("feedback", feedback, second=2)).values()
    assert document["score"]["correct"] is True
    assert document["feedback"]["cut"] is True
    assert document["feedback"]["bytes"] > size
    assert len(json.dumps(document)) < 5000


def test_a_large_answer_keeps_what_is_scored() -> None:
    row = [0.5, 0.5, *[0.0] * 400_000]
    (document,) = log(answer(row, names=[]), truth(0)).values()
    assert (document["response"]["cut"], "payload" in document["response"]) == (True, False)
    assert document["score"]["correct"] is True


@pytest.mark.parametrize(
    ("said", "rows"), [(truth("cat", "dog", "cat"), 3), (truth("cat"), 1), (reward(1), 1)]
)
def test_feedback_of_another_shape_is_in_a_document_of_its_own(said: Event, rows: int) -> None:
    documents = log(answer("cat", "dog", names=[]), said)
    assert documents.keys() == {"r", "r-item-0", "r-item-1"}
    assert documents["r"]["score"]["reason"] == "truth_shape"
    assert feedback_in(documents["r"]["feedback"]).entries == rows


def test_one_hot_truth_of_a_lone_row_needs_no_list_around_it() -> None:
    (document,) = log(answer([1, 0, 0]), truth(1, 0, 0)).values()
    assert document["score"]["correct"] is True


def test_early_feedback_of_several_rows_waits_whole() -> None:
    (document,) = log(truth("cat", None, "dog")).values()
    assert document["score"] == {"state": "unmatched"}
    assert feedback_in(document["feedback"]) == Feedback(("cat", None, "dog"))


def test_lent_feedback_gives_way_to_ones_own() -> None:
    shadow = Predictor("seldon", "sklearn", "shadow")
    (own,) = sections_of(observe(truth("cat", second=1)), 1)
    (theirs,) = sections_of(observe(truth("dog", second=9)._replace(predictor="shadow")), 1)
    assert lent(theirs, PETS).owner == PETS
    assert theirs.owner == shadow
    document, _ = merge(None, lent(theirs, PETS))
    assert document["feedback"]["via"] == "shadow"  # type: ignore[index]  # it is a section
    document, outcome = merge(document, own)
    assert outcome is Outcome.CORRECTED
    assert document["feedback"]["instance"] == "cat"  # type: ignore[index]  # it is a section


def test_another_request_under_the_same_id_is_seen() -> None:
    asked = [event("request", {"data": {"ndarray": [[i]]}}, second=i) for i in (1, 1, 2, 3)]
    for order in permutations(asked):
        (document,) = log(*order).values()
        assert document["request"]["instance"] == [3]
        assert [old["instance"] for old in document["request_history"]] == [[1], [2]]


def test_an_answer_of_another_size_under_the_same_id_is_seen() -> None:
    documents = log(answer("a", "b", "c", second=1, names=[]), answer("d", "e", names=[], second=2))
    assert read_document(documents["r-item-0"]).size == 2
    assert set(read_document(documents["r-item-0"]).other_sizes) == {2, 3}
    assert read_document(documents["r-item-2"]).size == 3


def test_an_answer_without_rows_is_kept() -> None:
    (document,) = log(answer()).values()
    assert document["response"]["instance"] is None


def test_a_request_alone_has_no_score() -> None:
    (document,) = log(event("request", {"data": {"ndarray": [[1, 2]]}})).values()
    assert "score" not in document
    assert not read_document(document).answered


def test_merge_changes_neither_argument() -> None:
    (known,) = log(answer([1, 0, 0]), truth(1)).values()
    before = json.dumps(known)
    (part,) = sections_of(observe(truth(2, second=9)))
    content = json.dumps(part.content)
    merge(known, part)
    assert (json.dumps(known), json.dumps(part.content)) == (before, content)


def test_whose_document_it_is() -> None:
    (document,) = log(truth(1)).values()
    assert predictor_of(document) == PETS
    with pytest.raises(InvalidEvent, match="Ce-Namespace"):
        predictor_of({"RequestId": "r"})


OWNED = {
    "Ce-Namespace": "seldon", "Ce-Inferenceservicename": "sklearn", "Ce-Endpoint": "default",
    "RequestId": "r",
}  # fmt: skip


def test_reads_the_documents_of_seldons_own_logger() -> None:
    logged = read_document(
        {
            **OWNED,
            "response": {"instance": [0.1, 0.9], "ce-time": "2026-01-31T12:00:00Z"},
            "feedback": {"reward": 1, "truth": None, "ce-time": "2026-01-31T12:00:01Z"},
        }
    )
    row = row_in(logged, None)
    assert (row.predicted and row.predicted.index, row.reward) == (1, 1)
    assert row.answered < row.judged
    assert (logged.size, logged.row) == (1, 0)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {**OWNED, "RequestId": 7},
        {**OWNED, "Row": "first"},
        {**OWNED, "Ce-Endpoint": None},
        {**OWNED, "response": {"instance": [1, 0]}},
        {**OWNED, "response": {"instance": [1, 0], "ce-time": 5}},
        {**OWNED, "feedback": {"reward": 1, "ce-time": "soon"}},
    ],
)
def test_refuses_a_document_that_it_cannot_read(document: Document) -> None:
    with pytest.raises(InvalidEvent):
        row_in(read_document(document), None)


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
def test_parts_have_the_stamp_and_the_owner_of_their_event(happened: list[Event]) -> None:
    for one in happened:
        parts = sections_of(observe(one))
        assert {(part.stamp, part.owner) for part in parts} == {(one.stamp, PETS)}


@given(HAPPENED)
def test_the_score_is_the_row_s_own(happened: list[Event]) -> None:
    documents = log(*happened)
    states = Counter(document["score"]["state"] for document in documents.values())
    assert states.total() == len(documents)
    for document in documents.values():
        row = row_in(read_document(document), None)
        assert (document["score"]["state"] == "unlabelled") == (not row.judged)
        assert (document["score"]["state"] == "unmatched") == (not row.answered and not row.misfit)
