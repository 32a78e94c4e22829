import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.events import FEEDBACK, REQUEST, RESPONSE, Event, InvalidEvent
from closedloop.loop.keys import index_name
from closedloop.loop.observation import REASONS, Observation, observe, read_event
from closedloop.loop.payload import Feedback, Rows
from tests.json_values import JSON

HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "http://:8000/",
    "ce-type": FEEDBACK,
    "ce-time": "2026-01-31T12:00:00Z",
    "ce-requestid": "r",
    "ce-namespace": "seldon",
    "ce-inferenceservicename": "iris",
    "ce-endpoint": "default",
}


def read(kind: str, message: object, **changed: str) -> Observation:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = {f"ce-{name.replace('_', '-')}": value for name, value in changed.items()}
    return read_event(HEADERS | {"ce-type": kind} | headers, body)


@pytest.mark.parametrize("kind", [REQUEST, RESPONSE])
def test_a_message_has_rows(kind: str) -> None:
    seen = read(kind, {"data": {"names": ["a"], "ndarray": [[1], [2]]}, "meta": {}})
    assert seen.rows == Rows([[1], [2]], ("a",), "tabular")
    assert (seen.entries, seen.feedback) == (2, None)
    assert seen.message["meta"] == {}


def test_an_empty_batch_is_one_row_that_states_nothing() -> None:
    seen = read(RESPONSE, {"data": {"ndarray": []}})
    assert seen.rows == Rows([None], (), "tabular")
    assert seen.entries == 1


@pytest.mark.parametrize(
    ("message", "entries"),
    [
        ({"truth": {"data": {"ndarray": [1, None, 2]}}}, 3),
        ({"truth": {"data": {"ndarray": [[0, 0, 1]]}}}, 1),
        ({"truth": {"data": {"tensor": {"shape": [2, 1], "values": [1, 2]}}}}, 2),
        ({"truth": {"strData": "a"}}, 1),
        ({"reward": 1}, 1),
    ],
)
def test_feedback_speaks_of_so_many_rows(message: object, entries: int) -> None:
    seen = read(FEEDBACK, message)
    assert (seen.rows, seen.entries) == (None, entries)


def test_feedback_that_an_executor_named_is_about_the_answer_it_quotes() -> None:
    made = "123e4567-e89b-42d3-a456-426614174000"
    seen = read(FEEDBACK, {"reward": 0, "response": {"meta": {"puid": "order 42"}}}, requestid=made)
    assert seen.event.request_id == "order 42"
    assert seen.feedback == Feedback(0.0, None)


def test_one_puid_in_an_answer_changes_nothing() -> None:
    made = "123e4567-e89b-42d3-a456-426614174000"
    answer = {"data": {"ndarray": [1]}, "response": {"meta": {"puid": "other"}}}
    assert read(RESPONSE, answer, requestid=made).event.request_id == made


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (RESPONSE, b"{", "bad_json"),
        (RESPONSE, b"\x1f\x8b", "bad_encoding"),
        (RESPONSE, {}, "bad_payload"),
        (FEEDBACK, {}, "bad_feedback"),
        (FEEDBACK, {"truth": {"data": {}}}, "bad_payload"),
        (FEEDBACK, b'{"reward": NaN}', "bad_feedback"),
        ("io.seldon.other", {}, "unknown_type"),
    ],
)
def test_refuses_with_one_of_its_reasons(kind: str, body: object, reason: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read(kind, body)
    assert refused.value.reason == reason
    assert reason in REASONS


def test_refuses_names_that_no_index_can_have() -> None:
    with pytest.raises(InvalidEvent, match="233 bytes"):
        read(FEEDBACK, {"reward": 1}, namespace="n" * 200, endpoint="e" * 29)
    names = {"namespace": "n" * 200, "endpoint": "e" * 28, "inferenceservicename": "iris"}
    assert read(FEEDBACK, {"reward": 1}, **names).entries == 1
    assert len(index_name(names["namespace"], "iris", names["endpoint"]).encode()) == 255
    with pytest.raises(InvalidEvent, match="bytes together"):
        read(FEEDBACK, {"reward": 1}, namespace="\u0130" * 100)  # three bytes in lower case


def test_a_body_nested_as_deep_as_json_allows_is_read_or_refused() -> None:
    for depth in (100, 500, 900, 990, 2000, 50_000):
        nested = b"[" * depth + b"1" + b"]" * depth
        for body in (
            b'{"outputs": [{"name": "a", "shape": [1], "data": ' + nested + b"}]}",
            b'{"data": {"ndarray": ' + nested + b"}}",
        ):
            with suppress(InvalidEvent):
                assert read(RESPONSE, body).entries == 1


MESSAGES = st.dictionaries(
    st.sampled_from(["data", "strData", "jsonData", "truth", "reward", "response", "meta"])
    | st.text(max_size=3),
    JSON | st.dictionaries(st.sampled_from(["ndarray", "names", "meta", "data"]), JSON),
    max_size=4,
)


@given(MESSAGES, st.sampled_from([REQUEST, RESPONSE, FEEDBACK]))
def test_any_message_is_accepted_or_refused_with_a_reason(
    message: dict[str, Any], kind: str
) -> None:
    try:
        seen = read(kind, message)
    except InvalidEvent as error:
        reason = error.reason
    else:
        assert seen.entries >= 1
        # Seen again, as a backfill or a redelivery does, it is the same.
        assert observe(seen.event) == seen
        return
    assert reason in REASONS


@given(st.binary(max_size=100), st.sampled_from([REQUEST, RESPONSE, FEEDBACK]), st.text(max_size=9))
def test_any_bytes_are_accepted_or_refused(body: bytes, kind: str, content_type: str) -> None:
    event = Event(
        id="1", source="s", type=kind, time="2026-01-31T12:00:00Z", request_id="r",
        namespace="n", deployment="d", predictor="p", model="", content_type=content_type,
        body=body,
    )  # fmt: skip
    with suppress(InvalidEvent):
        assert observe(event).event == event
