from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.events import InvalidEvent
from closedloop.loop.payload import Rows, feedback_of, judged_request, rows_of
from tests.json_values import JSON

MADE = "123e4567-e89b-42d3-a456-426614174000"
"""A Seldon-Puid as an executor makes it."""


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        (
            {"data": {"names": ["a", "b"], "ndarray": [[1, 2]]}},
            Rows([[1, 2]], ("a", "b"), "tabular"),
        ),
        ({"data": {"ndarray": [1, 2]}}, Rows([1, 2], (), "number")),
        ({"data": {"ndarray": ["x"]}}, Rows(["x"], (), "text")),
        ({"data": {"ndarray": [[[0, 1]]]}}, Rows([[[0, 1]]], (), "image")),
        ({"data": {"ndarray": []}}, Rows([], (), "tabular")),
        (
            {"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}}},
            Rows([[1, 2], [3, 4]], (), "tabular"),
        ),
        ({"data": {"tensor": {"shape": [2], "values": [1, 2]}}}, Rows([1, 2], (), "number")),
        ({"data": {"tensor": {"shape": [0, 3], "values": []}}}, Rows([], (), "tabular")),
        ({"strData": "hello"}, Rows(["hello"], (), "text")),
        ({"binData": "aGVsbG8="}, Rows(["aGVsbG8="], (), "text")),
        ({"jsonData": {"x": 1}}, Rows([{"x": 1}], (), "json")),
        ({"jsonData": None}, Rows([None], (), "json")),
        ({"jsonData": [1, 2]}, Rows([[1, 2]], (), "json")),
        ({"data": {"ndarray": 0.97}}, Rows([0.97], (), "number")),
        ({"data": {"ndarray": "cat"}}, Rows(["cat"], (), "text")),
        ({"data": {"ndarray": True}}, Rows([True], (), "number")),
        ({"data": {"tensor": {"shape": [], "values": [0.97]}}}, Rows([0.97], (), "number")),
        ({"data": {"tensor": {"values": [0.97]}}}, Rows([0.97], (), "number")),
        (
            {"data": {"tensor": {"shape": ["2", 1], "values": [1, 2]}}},
            Rows([[1], [2]], (), "tabular"),
        ),
        ({"data": {"tensor": {"shape": [0]}}}, Rows([], (), "tabular")),
        ({"data": {"tensor": {"shape": [2, 0]}}}, Rows([[], []], (), "tabular")),
        (
            {"data": {"tensor": {"shape": [2, 1, 2], "values": [1, 2, 3, 4]}}},
            Rows([[[1, 2]], [[3, 4]]], (), "image"),
        ),
        (
            {
                "data": {
                    "names": ["a"],
                    "tftensor": {
                        "dtype": "DT_FLOAT",
                        "tensorShape": {"dim": [{"size": "2"}, {"size": "1"}]},
                        "floatVal": [1, 2],
                    },
                }
            },
            Rows([[1], [2]], ("a",), "tabular"),
        ),
        ({"data": {"tftensor": {"dtype": "DT_DOUBLE", "doubleVal": [5]}}}, Rows([5], (), "number")),
        # The Open Inference Protocol.
        (
            {"outputs": [{"name": "p", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]},
            Rows([[1, 2], [3, 4]], (), "tabular"),
        ),
        (
            {"outputs": [{"name": "p", "shape": [2], "data": [1, 2]}]},
            Rows([1, 2], ("p",), "number"),
        ),
        (
            {"outputs": [{"name": "p", "shape": [2, 1], "data": [[1], [2]]}]},
            Rows([[1], [2]], ("p",), "tabular"),
        ),
        (
            {
                "outputs": [
                    {"name": "class", "shape": [2], "data": [1, 0]},
                    {"name": "proba", "shape": [2, 2], "data": [0.1, 0.9, 0.8, 0.2]},
                ]
            },
            Rows([[1, [0.1, 0.9]], [0, [0.8, 0.2]]], ("class", "proba"), "tabular"),
        ),
        (
            {"outputs": [{"name": "a", "shape": [1], "data": [1]}, {"shape": [], "data": 2}]},
            Rows([[1, 2]], ("a", ""), "tabular"),
        ),
        ({"outputs": []}, Rows([], (), "tabular")),
        ({"inputs": [{"name": "x", "shape": [1], "data": ["a"]}]}, Rows(["a"], ("x",), "text")),
        # TensorFlow Serving.
        ({"predictions": [[0.1, 0.9]]}, Rows([[0.1, 0.9]], (), "tabular")),
        ({"predictions": [0.97, 0.1]}, Rows([0.97, 0.1], (), "number")),
        ({"predictions": [{"class": "a"}]}, Rows([{"class": "a"}], (), "tabular")),
        ({"outputs": [[0.1, 0.9]]}, Rows([[0.1, 0.9]], (), "tabular")),
        (
            {"outputs": {"class": [1, 0], "proba": [[0.1, 0.9], [0.8, 0.2]]}},
            Rows([[1, [0.1, 0.9]], [0, [0.8, 0.2]]], ("class", "proba"), "tabular"),
        ),
        ({"instances": [[1, 2]]}, Rows([[1, 2]], (), "tabular")),
    ],
)
def test_rows_of_a_message(message: dict[str, object], rows: Rows) -> None:
    assert rows_of(message) == rows


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"data": None},
        {"data": {"ndarray": [1]}, "strData": "1"},
        {"data": [1]},
        {"data": {}},
        {"data": {"names": "a", "ndarray": [1]}},
        {"data": {"tensor": {"shape": [2, 2], "values": [1]}}},
        {"data": {"tensor": {"shape": [], "values": [1, 2]}}},
        {"data": {"tensor": {"values": [1, 2]}}},
        {"data": {"tensor": {"shape": [True], "values": [1]}}},
        {"data": {"tensor": {"shape": [1.5], "values": [1]}}},
        {"data": {"tensor": {"shape": ["one"], "values": [1]}}},
        {"data": {"tensor": {"shape": [10**9, 0]}}},
        {"data": {"tensor": {"shape": [1, 10**9, 0]}}},
        {"data": {"tensor": {"shape": {}, "values": [1]}}},
        {"data": {"tftensor": {"dtype": "DT_FLOAT", "floatVal": [1, 2]}}},
        {"data": {"tftensor": {"dtype": "DT_FLOAT", "floatVal": [10**400]}}},
        {"data": {"ndarray": None}},
        {"data": {"ndarray": {"a": 1}}},
        {"strData": 1},
        {"outputs": {}},
        {"outputs": {"a": [1], "b": [1, 2]}},
        {"outputs": {"a": 1}},
        {"outputs": [{"name": "a", "shape": [2], "data": [1]}]},
        {
            "outputs": [
                {"name": "a", "shape": [1], "data": [1]},
                {"name": "b", "shape": [2], "data": [1, 2]},
            ]
        },
        {"predictions": 1},
        {"predictions": {"a": [1]}},
        {"data": {"tensor": {"shape": [-1, -1], "values": [1]}}},
        {"data": {"tensor": {"shape": [1], "values": 1}}},
    ],
)
def test_refuses_a_message_without_rows(message: dict[str, object]) -> None:
    with pytest.raises(InvalidEvent) as refused:
        rows_of(message)
    assert refused.value.reason == "bad_payload"


def test_refuses_more_rows_than_can_be_documents() -> None:
    for rows, names in (([1] * 50_001, []), ([[1]] * 1001, ["name"] * 1000)):
        with pytest.raises(InvalidEvent, match="send at most"):
            rows_of({"data": {"names": names, "ndarray": rows}})


def test_a_boolean_reward_is_a_number() -> None:
    assert feedback_of({"reward": True}).reward == 1.0


def test_a_truth_that_only_carries_tags_is_no_truth() -> None:
    feedback = feedback_of({"reward": 0, "truth": {"meta": {"tags": {"user": "ann"}}}})
    assert feedback.truth is None


def test_a_truth_may_leave_rows_out() -> None:
    feedback = feedback_of({"truth": {"data": {"ndarray": [None, 1]}}})
    assert feedback.truth is not None
    assert feedback.truth.rows == [None, 1]


def test_a_truth_of_nothing_but_null_is_no_truth() -> None:
    assert feedback_of({"reward": 1, "truth": {"data": {"ndarray": [None]}}}).truth is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({}, "bad_feedback"),
        ({"reward": None}, "bad_feedback"),
        ({"reward": "1"}, "bad_feedback"),
        ({"reward": [1]}, "bad_feedback"),
        ({"truth": 1}, "bad_feedback"),
        ({"truth": {}}, "bad_feedback"),
        ({"truth": {"data": {"ndarray": []}}}, "bad_feedback"),
        ({"truth": {"data": {"ndarray": [None, None]}}}, "bad_feedback"),
        ({"truth": {"data": {}}}, "bad_payload"),
        ({"truth": {"data": {"names": 1, "ndarray": [1]}}}, "bad_payload"),
        ({"truth": {"strData": 1}}, "bad_payload"),
        ({"reward": 1, "truth": {"data": {"ndarray": [1]}, "strData": "x"}}, "bad_payload"),
        ({"reward": float("inf")}, "bad_feedback"),
        ({"reward": 10**400}, "bad_feedback"),
        ({"reward": "NaN", "truth": {"data": {"ndarray": [1]}}}, "bad_feedback"),
        ({"request": {}, "response": {}}, "bad_feedback"),
        ({"request": None, "response": None}, "bad_feedback"),
    ],
)
def test_refuses_feedback_that_says_nothing_usable(message: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        feedback_of(message)
    assert refused.value.reason == reason
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("truth", [-1, 0.5, [1, [0, 0]], "unknown", True, {"class": 1}])
def test_takes_a_truth_as_it_is(truth: object) -> None:
    """Whether it is a class is a matter of what the model's output means."""
    said = feedback_of({"truth": {"data": {"ndarray": [truth]}}}).truth
    assert said is not None
    assert said.rows == [truth]


@pytest.mark.parametrize(
    ("message", "reward"),
    [
        ({"reward": 0.0004}, 0.0004),
        ({"reward": -1}, -1.0),
        ({"reward": 0}, 0.0),
        ({"reward": False}, 0.0),
        # proto3's JSON leaves a zero out: SeldonClient's feedback with reward 0.0.
        ({"request": {"data": {"ndarray": [[1]]}}}, 0.0),
        ({"response": {"meta": {"puid": "p"}}}, 0.0),
        ({"request": {"strData": "a"}, "truth": {"meta": {"tags": {"a": 1}}}}, 0.0),
        ({"reward": None, "response": {"strData": "a"}}, 0.0),
        ({"request": {"strData": "a"}, "truth": {"strData": "b"}}, None),
    ],
)
def test_the_reward_of_feedback(message: dict[str, object], reward: float | None) -> None:
    assert feedback_of(message).reward == reward


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        ({"response": {"meta": {"puid": "mine"}}}, "mine"),
        ({"request": {"meta": {"puid": "mine"}}}, "mine"),
        ({"request": {"meta": {"puid": "older"}}, "response": {"meta": {"puid": "mine"}}}, "mine"),
        ({"response": {"meta": {"puid": ""}}, "request": {"meta": {"puid": "mine"}}}, "mine"),
        ({"response": {"meta": {"puid": 7}}}, MADE),
        ({"response": {"meta": {"puid": "a\nb"}}}, MADE),
        ({"response": {"meta": {"puid": "x" * 481}}}, MADE),
        ({"response": {"meta": None}}, MADE),
        ({"response": "text"}, MADE),
        ({"meta": {"puid": "other"}}, MADE),
        ({}, MADE),
    ],
)
def test_feedback_without_a_header_is_about_the_answer_it_quotes(
    message: dict[str, object], request_id: str
) -> None:
    assert judged_request(MADE, message) == request_id


@pytest.mark.parametrize(
    "sent", ["order 42", MADE.upper(), MADE[:-1], f"{MADE}-item-1", "\u0664" + MADE[1:]]
)
def test_an_id_of_the_senders_own_is_the_one_that_counts(sent: str) -> None:
    assert judged_request(sent, {"response": {"meta": {"puid": "other"}}}) == sent


MESSAGES = st.dictionaries(
    st.sampled_from(["data", "strData", "jsonData", "outputs", "predictions", "truth", "reward"]),
    JSON
    | st.dictionaries(st.sampled_from(["ndarray", "tensor", "tftensor", "names", "data"]), JSON),
    max_size=3,
)


@given(MESSAGES)
def test_any_message_has_rows_or_is_refused(message: dict[str, Any]) -> None:
    for read in (rows_of, feedback_of):
        with suppress(InvalidEvent):
            assert read(message)


@given(st.lists(JSON, max_size=5), st.lists(st.text(), max_size=3))
def test_rows_are_those_of_the_array_whatever_they_are(
    rows: list[object], names: list[str]
) -> None:
    said = rows_of({"data": {"names": names, "ndarray": rows}})
    assert (said.rows, said.names) == (rows, tuple(names))
