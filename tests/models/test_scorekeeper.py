import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.documents import Predictor
from closedloop.events import InvalidEvent
from closedloop.models.scorekeeper import Rows, Scorekeeper
from closedloop.scoring import ConfusionMatrix
from closedloop.scoring.scoreboard import Capacity


def _first_feature(rows: Rows) -> Rows:
    """A model that answers with the first feature of each row."""
    return [row[0] for row in rows if isinstance(row, list)]


def _keeper(limit: int = 1000) -> Scorekeeper:
    predictor = Predictor("ns", "iris", "default")
    return Scorekeeper(predictor, ["0", "1", "2"], _first_feature, Capacity(limit))


def _about(*pairs: tuple[int, int | None]) -> dict[str, object]:
    """Feedback about rows that are answered with the first and are the second."""
    return {
        "request": {"data": {"ndarray": [[predicted] for predicted, _ in pairs]}},
        "truth": {"data": {"ndarray": [None if a is None else [a] for _, a in pairs]}},
    }


def _judge(keeper: Scorekeeper, request_id: str, feedback: dict[str, object]) -> None:
    keeper.apply(keeper.read(request_id, feedback))


_CLASS = st.integers(0, 2)
_REPLAY = st.lists(st.tuples(st.sampled_from("abcdef"), _CLASS), max_size=30)


@given(_REPLAY)
def test_the_matrix_is_a_recount_of_the_latest_truths(sent: list[tuple[str, int]]) -> None:
    keeper = _keeper()
    answers = {request_id: i % 3 for i, request_id in enumerate("abcdef")}
    for request_id, truth in sent:
        _judge(keeper, request_id, _about((answers[request_id], truth)))
    recount = ConfusionMatrix()
    for request_id, truth in dict(sent).items():
        recount.add(str(answers[request_id]), str(truth))
    assert keeper.board.matrix == recount
    assert keeper.board.correct == recount.correct


def test_a_batch_is_scored_row_by_row_and_null_says_nothing() -> None:
    keeper = _keeper()
    _judge(keeper, "a", _about((0, 0), (1, 2), (2, None)))
    assert keeper.board.matrix == ConfusionMatrix({("0", "0"): 1, ("1", "2"): 1})
    _judge(keeper, "a", {"truth": {"data": {"ndarray": [None, None, [2]]}}})
    assert keeper.board.matrix.total == 3


def test_feedback_without_an_id_counts_each_time() -> None:
    keeper = _keeper()
    for _ in range(3):
        _judge(keeper, "", _about((1, 1)))
    assert keeper.board.correct == 3


def test_reading_changes_nothing() -> None:
    keeper = _keeper()
    before = keeper.gauges()
    keeper.read("a", _about((1, 1)))
    assert keeper.gauges() == before


def test_an_answer_that_was_scored_once_stays_the_answer() -> None:
    keeper = _keeper()
    _judge(keeper, "a", _about((1, 1)))
    _judge(keeper, "a", _about((2, 2)))  # another request under the same id
    assert keeper.board.matrix == ConfusionMatrix({("1", "2"): 1})


def test_quoted_class_names_and_truths_by_index_meet() -> None:
    keeper = _keeper()
    response = {"data": {"names": ["x", "y"], "ndarray": [[0.2, 0.8]]}}
    _judge(keeper, "a", {"response": response, "truth": {"data": {"ndarray": [1]}}})
    assert keeper.board.matrix == ConfusionMatrix({("y", "y"): 1})
    labels = {gauge["tags"]["class"] for gauge in keeper.gauges() if gauge["key"] == "f1"}  # type: ignore[index]  # tags is a dict
    assert labels == {"0", "1", "2", "y"}


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        ({"truth": {"data": {"ndarray": [1]}}}, "neither response nor request"),
        ({**_about((1, 1), (1, 1)), "truth": {"data": {"ndarray": [1]}}}, "about 1 rows .* has 2"),
        ({**_about((1, 1), (1, 1)), "truth": {}, "reward": 1}, "about 1 rows .* has 2"),
        ({"request": {"data": {"ndarray": [[1]]}}}, "neither reward nor truth"),
        ({**_about((1, 1)), "response": {"data": {"ndarray": "x"}}}, "data has no rows"),
    ],
)
def test_what_cannot_be_scored_is_refused(feedback: dict[str, object], message: str) -> None:
    keeper = _keeper()
    with pytest.raises(InvalidEvent, match=message):
        keeper.read("a", feedback)


def test_past_the_limit_new_rows_are_not_scored_and_old_ones_are() -> None:
    keeper = _keeper(limit=1)
    _judge(keeper, "a", _about((1, 1)))
    _judge(keeper, "b", _about((1, 1)))
    _judge(keeper, "a", _about((1, 2)))
    assert (keeper.board.correct, keeper.board.incorrect) == (0, 1)
    (over,) = [gauge["value"] for gauge in keeper.gauges() if gauge["key"] == "over_limit"]
    assert over == 2  # its answer and its truth


def test_only_the_latest_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("closedloop.models.scorekeeper._SERVED", 2)
    keeper = _keeper()
    for request_id in "abc":
        keeper.remember(request_id, [1])
    truth: dict[str, object] = {"truth": {"data": {"ndarray": [1]}}}
    _judge(keeper, "c", truth)
    with pytest.raises(InvalidEvent, match="nothing was answered here to request 'a'"):
        keeper.read("a", truth)


def test_gauges_are_new_objects_each_time() -> None:
    keeper = _keeper()
    keeper.gauges()[0]["tags"] = {"method": "predict"}
    assert keeper.gauges()[0]["tags"] == {}
