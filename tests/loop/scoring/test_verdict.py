import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    root_mean_squared_error,
)

from closedloop.loop.output import Output, read_output
from closedloop.loop.scoring.reading import Reason, Said, read_answer, read_truth
from closedloop.loop.scoring.scoreboard import Feedback, Scoreboard
from closedloop.loop.scoring.verdict import SUMS, Verdict, judge

SEEDS = st.integers(0, 10_000)


def board_of(
    said: dict[str, object], answers: Sequence[object], truths: Sequence[object]
) -> Scoreboard:
    """A board of so many answers and their truths."""
    board = Scoreboard(read_output(said))
    for i, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
        board.answer(str(i), f"{1:021d} a", [read_answer(board.output, answer)])
        board.judge(str(i), f"{2:021d} t", Feedback((truth,)))
    return board


def verdict_on(output: Output | None, answer: object, truth: object) -> Verdict:
    return judge(output, read_answer(output, answer), read_truth(output, truth), None)


@given(SEEDS, st.integers(2, 5), st.integers(1, 30))
def test_losses_of_probabilities_are_scikit_learns(seed: int, classes: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.dirichlet([0.5] * classes, rows)
    truths = random.integers(classes, size=rows)
    names = [f"class {i}" for i in range(classes)]
    said: dict[str, object] = {"kind": "probabilities", "classes": names}
    board = board_of(said, shares.tolist(), truths.tolist())
    labels = list(range(classes))
    assert board.sums["log_loss"].mean == pytest.approx(log_loss(truths, shares, labels=labels))
    brier = (
        brier_score_loss(truths, shares[:, 1], labels=labels)
        if classes == 2
        else brier_score_loss(truths, shares, labels=labels)
    )
    assert board.sums["brier"].mean == pytest.approx(brier)
    assert board.matrix.accuracy == accuracy_score(truths, shares.argmax(axis=1))


@given(SEEDS, st.integers(1, 3), st.integers(1, 30))
def test_errors_of_a_regression_are_scikit_learns(seed: int, columns: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    answers, truths = random.normal(0, 1e3, (2, rows, columns))
    board = board_of({"kind": "regression", "tolerance": 500}, answers.tolist(), truths.tolist())
    assert board.sums["absolute_error"].mean == pytest.approx(mean_absolute_error(truths, answers))
    squared = board.sums["squared_error"].mean
    assert squared is not None
    assert math.sqrt(squared) == pytest.approx(
        root_mean_squared_error(truths.ravel(), answers.ravel())
    )
    assert board.sums["error"].mean == pytest.approx((answers - truths).mean())
    within = (abs(answers - truths) <= 500).all(axis=1)
    assert (board.correct, board.incorrect) == (within.sum(), (~within).sum())


@given(SEEDS, st.integers(1, 30))
def test_exact_matches_of_several_labels_are_scikit_learns_accuracy(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    answers, truths = random.integers(2, size=(2, rows, 3))
    said: dict[str, object] = {"kind": "multilabel", "classes": ["a", "b", "c"]}
    board = board_of(said, answers.tolist(), truths.tolist())
    assert board.correct == accuracy_score(truths, answers, normalize=False)
    assert board.labels.rows == rows


PAIR = read_output({"kind": "probabilities", "classes": ["no", "yes"]})
RATE = read_output({"kind": "regression"})


@pytest.mark.parametrize(("answer", "truth"), [([1.0, 0.0], "yes"), ([0.0, 1.0], "no")])
def test_the_surest_of_errors_has_a_loss_that_is_finite(answer: object, truth: str) -> None:
    seen = verdict_on(PAIR, answer, truth)
    assert seen.sums["log_loss"] == pytest.approx(52 * math.log(2))
    assert seen.sums["brier"] == 1
    assert seen.correct is False


def test_the_surest_answer_that_is_right_loses_next_to_nothing() -> None:
    assert 0 <= verdict_on(PAIR, [0, 1], "yes").sums["log_loss"] < 1e-15


def test_losses_of_rounded_shares_are_those_of_shares_that_add_up_to_1() -> None:
    loss = verdict_on(PAIR, [0.499, 0.5], "yes").sums["log_loss"]
    assert loss == pytest.approx(-math.log(0.5 / 0.999))


def test_a_positive_error_answers_too_high() -> None:
    assert verdict_on(RATE, 7.0, 6.5).sums == {
        "error": 0.5,
        "absolute_error": 0.5,
        "squared_error": 0.25,
    }


@pytest.mark.parametrize(("answer", "correct"), [(10, True), (11, True), (9, True), (11.1, False)])
def test_an_error_of_the_tolerance_is_within_it(answer: float, correct: bool) -> None:
    output = read_output({"kind": "regression", "tolerance": 1})
    assert verdict_on(output, answer, 10).correct is correct


def test_without_a_tolerance_no_measure_is_right_or_wrong() -> None:
    assert verdict_on(RATE, 6.0, 6.0).correct is None


@pytest.mark.parametrize(
    ("answer", "truth", "reason"),
    [
        ([1.0, 2.0], [1.0], Reason.TRUTH_SHAPE),
        ([1.0, 2.0], 1.0, Reason.TRUTH_SHAPE),
        (1.0, [1.0, 2.0], Reason.TRUTH_SHAPE),
        (1e200, -1e200, Reason.TRUTH_UNREADABLE),
        (1.7e308, -1.7e308, Reason.TRUTH_UNREADABLE),
        ("NaN", 1.0, Reason.ANSWER_UNREADABLE),
        (1.0, "Infinity", Reason.TRUTH_UNREADABLE),
        (10**400, 1.0, Reason.ANSWER_UNREADABLE),
    ],
)
def test_measures_that_cannot_be_compared(answer: object, truth: object, reason: Reason) -> None:
    assert verdict_on(RATE, answer, truth) == Verdict("unscorable", reason=reason)


def test_columns_that_are_named_are_compared_by_name() -> None:
    answer = read_answer(RATE, [1.0, 2.0], ["x", "y"])
    assert judge(RATE, answer, read_truth(RATE, [2.0, 1.0], ["y", "x"]), None).sums["error"] == 0
    other = read_truth(RATE, [1.0, 2.0], ["x", "z"])
    assert judge(RATE, answer, other, None).reason == Reason.TRUTH_SHAPE


THRESHOLD = read_output({"kind": "regression", "reward_threshold": -0.5})


@pytest.mark.parametrize(
    ("output", "reward", "correct"),
    [
        (None, 1.0, True),
        (None, 0.0, False),
        (None, -0.0, False),
        (None, 0.0004, None),
        (None, -1.0, None),
        (None, 2.0, None),
        (PAIR, 1.0, True),
        (PAIR, 0.9, None),
        (THRESHOLD, -0.5, True),
        (THRESHOLD, -0.51, False),
        (THRESHOLD, 0.0, True),
        (THRESHOLD, 40.0, True),
    ],
)
def test_a_reward_is_right_or_wrong_only_where_that_is_certain(
    output: Output | None, reward: float, correct: bool | None
) -> None:
    seen = judge(output, Said(reason=Reason.ANSWER_UNREADABLE), None, reward)
    assert seen.correct is correct
    assert seen.state == ("unscorable" if correct is None else "scored")
    assert seen.reason == ("" if correct is not None else Reason.UNDECLARED_REWARD)
    assert seen.sums == {"reward": reward}


def test_a_truth_goes_before_a_reward() -> None:
    said = read_answer(PAIR, [1, 0])
    assert judge(PAIR, said, read_truth(PAIR, "no"), 0.0).correct is True
    assert judge(PAIR, said, read_truth(PAIR, "perhaps"), 1.0).state == "unscorable"


def test_feedback_that_states_nothing_is_unscorable() -> None:
    assert judge(PAIR, read_answer(PAIR, [1, 0]), None, None).reason == Reason.TRUTH_UNREADABLE


def test_every_sum_has_a_name() -> None:
    seen = [verdict_on(PAIR, [1, 0], "no"), verdict_on(RATE, 1, 2), judge(None, Said(), None, 1.0)]
    assert {name for each in seen for name in each.sums} == set(SUMS)
