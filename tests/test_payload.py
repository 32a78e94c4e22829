import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.events import InvalidEvent
from closedloop.payload import (
    ClassLabel,
    Rows,
    class_names,
    class_of,
    feedback_of,
    parse_json,
    rows_of,
)

NAMES = ("setosa", "versicolor", "virginica")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"1" * 400 + b".0}",
        b'{"a": "\\ud800"}',
        b'{"\\uDFFF": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000,
    ],
)
def test_refuses_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse_json(body)
    assert refused.value.reason == "bad_json"


@given(st.dictionaries(st.text(), JSON))
def test_what_was_parsed_can_be_written_again(message: dict[str, Any]) -> None:
    try:
        parsed = parse_json(json.dumps(message).encode())
    except InvalidEvent:
        with pytest.raises(ValueError, match=r"JSON compliant|surrogates"):
            json.dumps(message, allow_nan=False, ensure_ascii=False).encode()
    else:
        assert parsed == message
        json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()


def test_takes_a_whole_surrogate_pair() -> None:
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


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
        {"data": {"ndarray": "text"}},
        {"data": {"names": "a", "ndarray": [1]}},
        {"data": {"tensor": {"shape": [2, 2], "values": [1]}}},
        {"data": {"tensor": {"shape": [], "values": [1]}}},
        {"data": {"tensor": {"shape": [-1, -1], "values": [1]}}},
        {"data": {"tensor": {"shape": ["1"], "values": [1]}}},
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


@pytest.mark.parametrize(
    ("row", "names", "label"),
    [
        (2, (), ClassLabel(2, None)),
        (2.0, (), ClassLabel(2, None)),
        (2, NAMES, ClassLabel(2, "virginica")),
        (7, NAMES, ClassLabel(7, None)),
        ([2], (), ClassLabel(2, None)),
        ([2], ("class",), ClassLabel(2, None)),
        ("virginica", (), ClassLabel(None, "virginica")),
        ("virginica", NAMES, ClassLabel(2, "virginica")),
        (["virginica"], (), ClassLabel(None, "virginica")),
        ([0, 0, 1], (), ClassLabel(2, None)),
        ([False, True], (), ClassLabel(1, None)),
        ([0.1, 0.2, 0.7], NAMES, ClassLabel(2, "virginica")),
        ([0.1, 0.2, 0.7], NAMES[:2], ClassLabel(2, None)),
        ([0.5, 0.5], (), ClassLabel(0, None)),
        ([-3.0, -1.0, -2.0], (), ClassLabel(1, None)),
        ([[0.1, 0.9]], (), ClassLabel(1, None)),
    ],
)
def test_the_class_a_row_states(row: object, names: tuple[str, ...], label: ClassLabel) -> None:
    assert class_of(row, names) == label


@pytest.mark.parametrize(
    "row",
    [
        None, True, "", "x" * 257, -1, 0.5, float("inf"), 10**400, [], [0, 0], [1, "a"], {},
        [[1, 2], [3, 4]], {"a": 1}, [float("nan"), 1],
    ],
)  # fmt: skip
def test_refuses_a_row_that_states_no_class(row: object) -> None:
    with pytest.raises(InvalidEvent) as refused:
        class_of(row)
    assert refused.value.reason == "not_a_class"
    assert len(str(refused.value)) < 500


@given(st.lists(st.floats(0, 1), min_size=2).filter(any))
def test_scores_state_the_first_of_the_largest(scores: list[float]) -> None:
    assert class_of(scores).index == scores.index(max(scores))


@given(JSON, st.lists(st.text(), max_size=3))
def test_any_row_states_a_class_or_is_refused(row: object, names: list[str]) -> None:
    with suppress(InvalidEvent):
        label = class_of(row, names)
        assert label.resolve(class_names(names))
        assert label.resolve(())


@pytest.mark.parametrize("names", [[], ["one"], ["a", "a"], ["a", ""], ["a", "x" * 257]])
def test_names_that_tell_no_classes_apart(names: list[str]) -> None:
    assert class_names(names) == ()


@pytest.mark.parametrize(
    ("label", "names", "resolved"),
    [
        (ClassLabel(2, None), NAMES, "virginica"),
        (ClassLabel(None, "virginica"), NAMES, "virginica"),
        (ClassLabel(0, "virginica"), NAMES, "virginica"),
        (ClassLabel(2, "of another list"), NAMES, "virginica"),
        (ClassLabel(7, None), NAMES, "7"),
        (ClassLabel(None, "rosa"), NAMES, "rosa"),
        (ClassLabel(2, "virginica"), (), "2"),
        (ClassLabel(None, "virginica"), (), "virginica"),
    ],
)
def test_the_label_a_class_is_counted_under(
    label: ClassLabel, names: tuple[str, ...], resolved: str
) -> None:
    assert label.resolve(names) == resolved


@given(st.integers(0, 2))
def test_index_name_and_one_hot_truths_meet(index: int) -> None:
    one_hot = [int(i == index) for i in range(3)]
    truths = class_of(index), class_of(NAMES[index]), class_of(one_hot)
    assert {truth.resolve(NAMES) for truth in truths} == {NAMES[index]}


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
        ({"truth": {"data": {"ndarray": [0.5]}}}, "not_a_class"),
        ({"truth": {"data": {"ndarray": [1, [0, 0]]}}}, "not_a_class"),
        ({"truth": {"strData": ""}}, "not_a_class"),
        ({"reward": 1, "truth": {"data": {"ndarray": [-1]}}}, "not_a_class"),
    ],
)
def test_refuses_feedback_that_says_nothing_usable(message: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        feedback_of(message)
    assert refused.value.reason == reason
