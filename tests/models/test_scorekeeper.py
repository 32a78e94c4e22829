from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.events import InvalidEvent
from closedloop.loop.output import read_output
from closedloop.loop.scoring import ConfusionMatrix
from closedloop.loop.scoring.scoreboard import Capacity
from closedloop.models.scorekeeper import Rows, Scorekeeper

DIGITS = {"kind": "class", "classes": ["0", "1", "2"]}
FLOWERS = {"kind": "class", "classes": ["setosa", "versicolor", "virginica"]}


def _first_feature(rows: Rows) -> Rows:
    """A model that answers with the first feature of each row."""
    return [row[0] for row in rows if isinstance(row, list)]


def _keeper(limit: int = 1000, output: Mapping[str, object] = DIGITS) -> Scorekeeper:
    return Scorekeeper(read_output(output), _first_feature, Capacity(limit))


def _about(*pairs: tuple[int, int | None]) -> dict[str, object]:
    """Feedback about rows that are answered with the first and are the second."""
    return {
        "request": {"data": {"ndarray": [[predicted] for predicted, _ in pairs]}},
        "truth": {"data": {"ndarray": [None if a is None else [a] for _, a in pairs]}},
    }


def _gauge(keeper: Scorekeeper, key: str) -> object:
    (value,) = [gauge["value"] for gauge in keeper.gauges() if gauge["key"] == key]
    return value


def _truths(*truths: object) -> dict[str, object]:
    return {"truth": {"data": {"ndarray": list(truths)}}}


_CLASS = st.integers(0, 2)
_REPLAY = st.lists(st.tuples(st.sampled_from("abcdef"), _CLASS), max_size=30)


@given(_REPLAY)
def test_the_matrix_is_a_recount_of_the_latest_truths(sent: list[tuple[str, int]]) -> None:
    keeper = _keeper()
    answers = {request_id: i % 3 for i, request_id in enumerate("abcdef")}
    for request_id, truth in sent:
        keeper.judge(request_id, _about((answers[request_id], truth)))
    recount = ConfusionMatrix()
    for request_id, truth in dict(sent).items():
        recount.add(str(answers[request_id]), str(truth))
    assert keeper.board.matrix == recount
    assert keeper.board.correct == recount.correct


def test_a_batch_is_scored_row_by_row_and_null_says_nothing() -> None:
    keeper = _keeper()
    keeper.judge("a", _about((0, 0), (1, 2), (2, None)))
    assert keeper.board.matrix == ConfusionMatrix({("0", "0"): 1, ("1", "2"): 1})
    keeper.judge("a", _truths(None, None, [2]))
    assert keeper.board.matrix.total == 3


def test_feedback_without_an_id_counts_each_time() -> None:
    keeper = _keeper()
    for _ in range(3):
        keeper.judge("", _about((1, 1)))
    assert keeper.board.correct == 3


def test_an_answer_that_was_scored_once_stays_the_answer() -> None:
    keeper = _keeper()
    keeper.judge("a", _about((1, 1)))
    keeper.judge("a", _about((2, 2)))  # another request under the same id
    assert keeper.board.matrix == ConfusionMatrix({("1", "2"): 1})


@pytest.mark.parametrize("truth", ["versicolor", 1, 1.0, "1", [0, 1, 0], ["versicolor"]])
def test_truths_by_name_code_and_index_meet(truth: object) -> None:
    keeper = _keeper(output={**FLOWERS, "codes": [0, 1, 2]})
    keeper.judge("a", {"request": {"data": {"ndarray": [[1]]}}, **_truths(truth)})
    assert keeper.board.matrix == ConfusionMatrix({("versicolor", "versicolor"): 1})


def test_a_quoted_answer_is_read_by_the_declaration() -> None:
    keeper = _keeper(output={**FLOWERS, "kind": "probabilities"})
    response = {"data": {"names": ["t:0", "t:1", "t:2"], "ndarray": [[0.1, 0.2, 0.7]]}}
    keeper.judge("a", {"response": response, **_truths("setosa")})
    assert keeper.board.matrix == ConfusionMatrix({("virginica", "setosa"): 1})
    assert keeper.board.sums["brier"].count == 1
    labels = {gauge["tags"]["class"] for gauge in keeper.gauges() if gauge["key"] == "f1"}  # type: ignore[index]  # tags is a dict
    assert labels == {*FLOWERS["classes"]}


def test_a_bad_truth_costs_no_other_row_of_its_batch() -> None:
    keeper = _keeper(output=FLOWERS)
    rows = {"request": {"data": {"ndarray": [[0], [1], [2]]}}}
    keeper.judge("a", {**rows, **_truths("setosa", -1, "unknown")})
    assert (keeper.board.correct, keeper.board.incorrect) == (1, 0)
    assert _gauge(keeper, "unscorable") == 2


def test_an_answer_that_is_no_class_is_unscorable() -> None:
    keeper = _keeper(output=FLOWERS)
    keeper.judge("a", {"request": {"data": {"ndarray": [[7]]}}, **_truths("setosa")})
    assert (_gauge(keeper, "unscorable"), _gauge(keeper, "incorrect")) == (1, 0)


@pytest.mark.parametrize(("reward", "counts"), [(1, (1, 0)), (0, (0, 1)), (0.0, (0, 1))])
def test_a_reward_without_truth_is_right_or_wrong(reward: float, counts: tuple[int, int]) -> None:
    keeper = _keeper()
    keeper.judge("a", {**_about((1, None)), "reward": reward})
    assert (keeper.board.correct, keeper.board.incorrect) == counts


def test_a_reward_that_is_a_measure_needs_a_threshold() -> None:
    keeper = _keeper()
    keeper.judge("a", {**_about((1, None)), "reward": 0.0004})
    assert (keeper.board.correct, _gauge(keeper, "unscorable")) == (0, 1)
    keeper = _keeper(output={**DIGITS, "reward_threshold": 0.0003})
    keeper.judge("a", {**_about((1, None)), "reward": 0.0004})
    assert (keeper.board.correct, _gauge(keeper, "unscorable")) == (1, 0)


def test_an_absent_reward_is_one_of_zero() -> None:
    """proto3's JSON leaves it out."""
    keeper = _keeper()
    keeper.judge("a", _about((1, None)))
    assert (keeper.board.correct, keeper.board.incorrect) == (0, 1)


def test_one_hot_truth_of_a_lone_row_needs_no_list_around_it() -> None:
    keeper = _keeper()
    keeper.judge("a", {"request": {"data": {"ndarray": [[1]]}}, **_truths(0, 1, 0)})
    assert keeper.board.matrix == ConfusionMatrix({("1", "1"): 1})


def test_feedback_that_an_executor_named_is_about_the_answer_it_quotes() -> None:
    keeper = _keeper()
    keeper.remember("mine", [1])
    quoted = {"response": {"meta": {"puid": "mine"}, "data": {"ndarray": [2]}}}
    keeper.judge("123e4567-e89b-42d3-a456-426614174000", {**quoted, **_truths(1)})
    assert keeper.board.correct == 1


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        ({"truth": {"data": {"ndarray": [1]}}}, "neither response nor request"),
        ({**_about((1, 1), (1, 1)), "truth": {"data": {"ndarray": [1]}}}, "about 1 rows .* has 2"),
        ({**_about((1, 1), (1, 1)), "truth": {}, "reward": 1}, "about 1 rows .* has 2"),
        ({}, "neither reward nor truth"),
        ({"truth": {"data": {"ndarray": [-1]}}}, "nothing is scored: the truth is none of"),
        ({"truth": {"data": {"ndarray": [-1, {}]}}}, "nothing is scored: the truth is none of"),
        ({"truth": {"data": {"ndarray": [[1, 1, 0]]}}}, "nothing is scored: the truth is not"),
        ({"reward": 0.5}, "neither response nor request"),
        ({"reward": "1"}, "reward is '1'"),
        ({**_about((1, 1)), "response": {"data": {"ndarray": {}}}}, "data has no rows"),
    ],
)
def test_what_cannot_be_scored_is_refused(feedback: dict[str, object], message: str) -> None:
    keeper = _keeper()
    before = keeper.gauges()
    with pytest.raises(InvalidEvent, match=message):
        keeper.judge("a", feedback)
    assert keeper.gauges() == before


def test_past_the_limit_new_rows_are_not_scored_and_old_ones_are() -> None:
    keeper = _keeper(limit=1)
    keeper.judge("a", _about((1, 1)))
    keeper.judge("b", _about((1, 1)))
    keeper.judge("a", _about((1, 2)))
    assert (keeper.board.correct, keeper.board.incorrect) == (0, 1)
    assert _gauge(keeper, "over_limit") == 2  # its answer and its truth


def test_only_the_latest_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("closedloop.models.scorekeeper._SERVED", 2)
    keeper = _keeper()
    for request_id in "abc":
        keeper.remember(request_id, [1])
    truth: dict[str, object] = {"truth": {"data": {"ndarray": [1]}}}
    keeper.judge("c", truth)
    with pytest.raises(InvalidEvent, match="nothing was answered here to request 'a'"):
        keeper.judge("a", truth)


def test_gauges_are_new_objects_each_time() -> None:
    keeper = _keeper()
    keeper.gauges()[0]["tags"] = {"method": "predict"}
    assert keeper.gauges()[0]["tags"] == {}
