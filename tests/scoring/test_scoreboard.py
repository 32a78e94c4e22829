from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.payload import ClassLabel
from closedloop.scoring.scoreboard import Capacity, Outcome, Row, Scoreboard, Verdict, verdict

NAMES = ("cat", "dog", "bird")
CAT, DOG = ClassLabel(0, "cat"), ClassLabel(1, "dog")
INDEX, NAME = ClassLabel(0, None), ClassLabel(None, "cat")


class Seen(NamedTuple):
    """One observation: `said` is the answer, the truth, or the reward."""

    side: str
    row: str
    stamp: str
    said: ClassLabel | float | None


# Answers with these come without class names.
BARE = [ClassLabel(1, None), ClassLabel(None, "bird")]
LABELS = [*map(ClassLabel, range(3), NAMES), ClassLabel(2, None), *BARE]
SAID = {
    "answer": st.sampled_from([*LABELS, None]),
    "judge": st.sampled_from([*LABELS, 0.0, 1.0]),
}
OBSERVATIONS = st.lists(
    st.sampled_from(["answer", "judge"]).flatmap(
        lambda side: st.builds(
            Seen, st.just(side), st.sampled_from("rst"), st.sampled_from("12345678"), SAID[side]
        )
    ),
    # One event says one thing.
    unique_by=lambda seen: (seen.side, seen.row, seen.stamp),
    max_size=30,
)


def show(board: Scoreboard, seen: Seen) -> Outcome:
    if seen.side == "answer":
        assert not isinstance(seen.said, float)
        names = () if seen.said in BARE else NAMES
        return board.answer(seen.row, seen.stamp, seen.said, names)
    if isinstance(seen.said, float):
        return board.judge(seen.row, seen.stamp, None, seen.said)
    return board.judge(seen.row, seen.stamp, seen.said, None)


def scored(observations: Iterable[Seen], capacity: Capacity | None = None) -> Scoreboard:
    board = Scoreboard(capacity)
    for seen in observations:
        show(board, seen)
    return board


def contents(board: Scoreboard) -> tuple[object, ...]:
    return (
        dict(board.items()), board.matrix.counts(), board.correct, board.incorrect, board.states,
    )  # fmt: skip


def named(label: ClassLabel) -> str:
    return NAMES[label.index] if label.index is not None else str(label.name)


def pair(answer: ClassLabel, truth: ClassLabel) -> tuple[str, str] | None:
    """What is compared, the slow and obvious way."""
    if answer not in BARE:
        return named(answer), named(truth)
    for one, other in ((answer.index, truth.index), (answer.name, truth.name)):
        if one is not None and other is not None:
            return str(one), str(other)
    return None


def recount(observations: list[Seen]) -> tuple[Counter[str], Counter[tuple[str, str]], int, int]:
    """States, confusion matrix, correct and incorrect, the slow and obvious way."""
    newest: dict[tuple[str, str], Seen] = {}
    for seen in sorted(observations, key=lambda seen: seen.stamp):
        newest[seen.row, seen.side] = seen
    states: Counter[str] = Counter()
    cells: Counter[tuple[str, str]] = Counter()
    correct = incorrect = 0
    for row in {row for row, _ in newest}:
        answer, judged = newest.get((row, "answer")), newest.get((row, "judge"))
        if judged is None:
            states["unlabelled"] += 1
        elif answer is None:
            states["unmatched"] += 1
        elif isinstance(judged.said, float):
            states["scored"] += 1
            correct += judged.said > 0
            incorrect += judged.said <= 0
        elif answer.said is None:
            states["unscorable"] += 1
        else:
            assert isinstance(answer.said, ClassLabel)
            assert isinstance(judged.said, ClassLabel)
            cell = pair(answer.said, judged.said)
            states["scored" if cell else "unscorable"] += 1
            if cell:
                cells[cell] += 1
                correct += cell[0] == cell[1]
                incorrect += cell[0] != cell[1]
    return states, cells, correct, incorrect


@given(OBSERVATIONS)
def test_counts_equal_a_recount(observations: list[Seen]) -> None:
    board = scored(observations)
    states, cells, correct, incorrect = recount(observations)
    assert Counter(board.states) == states
    assert board.matrix.counts() == dict(cells)
    assert (board.correct, board.incorrect) == (correct, incorrect)


@given(OBSERVATIONS.flatmap(lambda seen: st.tuples(st.just(seen), st.permutations(seen))))
def test_order_does_not_matter(case: tuple[list[Seen], list[Seen]]) -> None:
    one, other = case
    assert contents(scored(one)) == contents(scored(other))


@given(OBSERVATIONS, st.data())
def test_repeating_does_not_matter(observations: list[Seen], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(observations))) if observations else []
    board = scored(observations)
    before = contents(board)
    assert not any(show(board, seen).changes for seen in again)
    assert contents(board) == before


@given(OBSERVATIONS, st.integers(0, 30))
def test_a_restart_in_the_middle_does_not_matter(observations: list[Seen], at: int) -> None:
    first, restarted = scored(observations[:at]), Scoreboard()
    for document_id, row in first.items():
        if row.answered:
            restarted.answer(document_id, row.answered, row.predicted, row.names)
        if row.judged:
            restarted.judge(document_id, row.judged, row.actual, row.reward)
    for seen in observations[at:]:
        show(restarted, seen)
    assert contents(restarted) == contents(scored(observations))


@given(OBSERVATIONS)
def test_every_row_is_in_one_state_and_scored_is_right_or_wrong(observations: list[Seen]) -> None:
    board = scored(observations)
    assert sum(board.states.values()) == len(board)
    assert board.correct + board.incorrect == board.states["scored"]


@given(OBSERVATIONS, st.integers(0, 3))
def test_at_the_limit_the_rows_held_stay_exact(observations: list[Seen], limit: int) -> None:
    capacity = Capacity(limit)
    board = scored(observations, capacity)
    held = [seen for seen in observations if seen.row in dict(board.items())]
    assert contents(board) == contents(scored(held))
    assert capacity.held == len(board) <= limit
    assert board.dropped == len(observations) - len(held)


def test_boards_can_share_a_limit() -> None:
    capacity = Capacity(1)
    one, other = Scoreboard(capacity), Scoreboard(capacity)
    assert one.answer("r", "1", CAT, NAMES) is Outcome.APPLIED
    assert other.answer("r", "1", CAT, NAMES) is Outcome.OVER_LIMIT
    assert one.judge("r", "2", CAT, None) is Outcome.APPLIED


def test_outcomes_of_truth_about_one_row() -> None:
    board = Scoreboard()
    stamps = ["2", "2", "1", "3"]
    assert [board.judge("r", stamp, CAT, None) for stamp in stamps] == [
        Outcome.APPLIED, Outcome.DUPLICATE, Outcome.SUPERSEDED, Outcome.CORRECTED,
    ]  # fmt: skip


def test_a_correction_moves_the_count() -> None:
    board = scored([Seen("answer", "r", "1", CAT), Seen("judge", "r", "2", DOG)])
    assert board.matrix.counts() == {("cat", "dog"): 1}
    show(board, Seen("judge", "r", "3", CAT))
    assert board.matrix.counts() == {("cat", "cat"): 1}
    assert (board.correct, board.incorrect) == (1, 0)


def test_early_truth_waits_for_its_answer() -> None:
    board = scored([Seen("judge", "r", "2", CAT)])
    assert board.states["unmatched"] == 1
    show(board, Seen("answer", "r", "1", CAT))
    assert (board.states["unmatched"], board.correct) == (0, 1)


@pytest.mark.parametrize(
    ("row", "judged"),
    [
        (Row(answered="1", predicted=CAT), Verdict("unlabelled")),
        (Row(judged="1", actual=CAT), Verdict("unmatched")),
        (Row(CAT, NAMES, "1", CAT, None, "1"), Verdict("scored", True, ("cat", "cat"))),
        (Row(CAT, NAMES, "1", DOG, None, "1"), Verdict("scored", False, ("cat", "dog"))),
        (Row(CAT, (), "1", DOG, None, "1"), Verdict("scored", False, ("0", "1"))),
        (Row(None, (), "1", CAT, None, "1"), Verdict("unscorable")),
        (Row(CAT, (), "1", None, None, "1"), Verdict("unscorable")),
        (Row(INDEX, (), "1", NAME, None, "1"), Verdict("unscorable")),
        (Row(NAME, (), "1", INDEX, None, "1"), Verdict("unscorable")),
        (Row(INDEX, (), "1", NAME, 1.0, "1"), Verdict("unscorable")),
        (Row(INDEX, (), "1", CAT, None, "1"), Verdict("scored", True, ("0", "0"))),
        (Row(NAME, (), "1", CAT, None, "1"), Verdict("scored", True, ("cat", "cat"))),
        (Row(NAME, (), "1", NAME, None, "1"), Verdict("scored", True, ("cat", "cat"))),
        (Row(INDEX, NAMES, "1", NAME, None, "1"), Verdict("scored", True, ("cat", "cat"))),
        (Row(None, (), "1", None, 0.5, "1"), Verdict("scored", True)),
        (Row(CAT, (), "1", None, 0.0, "1"), Verdict("scored", False)),
        (Row(CAT, (), "1", None, -1.0, "1"), Verdict("scored", False)),
    ],
)
def test_the_verdict_on_a_row(row: Row, judged: Verdict) -> None:
    assert verdict(row) == judged


@given(st.sampled_from(LABELS), st.sampled_from(LABELS))
def test_without_names_answer_and_truth_may_change_places(
    one: ClassLabel, other: ClassLabel
) -> None:
    there = verdict(Row(one, (), "1", other, None, "1"))
    back = verdict(Row(other, (), "1", one, None, "1"))
    assert (there.state, there.correct) == (back.state, back.correct)
