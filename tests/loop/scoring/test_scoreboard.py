from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.keys import document_id
from closedloop.loop.output import Output, read_output
from closedloop.loop.scoring import loose
from closedloop.loop.scoring.reading import Reason, Said, read_answer, read_truth
from closedloop.loop.scoring.row import lent_stamp
from closedloop.loop.scoring.scoreboard import Capacity, Feedback, Outcome, Row, Scoreboard, verdict
from closedloop.loop.scoring.times import Times
from closedloop.loop.scoring.verdict import UNLABELLED, UNMATCHED, Verdict, judge, unscorable

PETS = read_output({"kind": "probabilities", "classes": ["cat", "dog", "bird"]})
CAT, DOG = (read_answer(PETS, row) for row in ([0.8, 0.1, 0.1], [0.1, 0.8, 0.1]))
JUNK = read_answer(PETS, "no probabilities")
IDS = ("P", "P-item-1", "Q")


class Answer(NamedTuple):
    request_id: str
    stamp: str
    rows: tuple[Said, ...]


class Judgement(NamedTuple):
    request_id: str
    stamp: str
    feedback: Feedback


Event = Answer | Judgement


def stamp(second: int, event_id: str = "id") -> str:
    return f"{second * 1_000_000_000:021d} {event_id}"


STAMPS = st.builds(stamp, st.integers(0, 9_000), st.sampled_from("abc"))
TRUTH = st.sampled_from(["cat", "dog", 1, [0, 0, 1], "unknown", 0, 1.0, None])
FEEDBACK = st.one_of(
    st.lists(TRUTH, min_size=1, max_size=4)
    .filter(lambda truths: any(truth is not None for truth in truths))
    .map(lambda truths: Feedback(tuple(truths))),
    st.sampled_from([0.0, 1.0, 0.5, 1e-3]).map(lambda reward: Feedback(reward=reward)),
)
ANSWERS = st.builds(
    Answer,
    st.sampled_from(IDS),
    STAMPS,
    st.lists(st.sampled_from([CAT, DOG, JUNK]), min_size=1, max_size=3).map(tuple),
)
EVENTS = st.lists(
    st.one_of(ANSWERS, st.builds(Judgement, st.sampled_from(IDS), STAMPS, FEEDBACK)),
    # One event says one thing.
    unique_by=lambda event: (type(event), event.request_id, event.stamp),
    max_size=20,
)


def show(board: Scoreboard, event: Event) -> Outcome:
    if isinstance(event, Answer):
        return board.answer(*event)
    return board.judge(*event)


def shown(events: Iterable[Event], capacity: Capacity | None = None) -> Scoreboard:
    board = Scoreboard(PETS, capacity)
    for event in events:
        show(board, event)
    return board


def counts(board: Scoreboard) -> tuple[object, ...]:
    return (
        board.matrix, board.correct, board.incorrect, board.states, +board.reasons, board.sums,
        board.times.delays(), board.times.delay_seconds, list(board.times.cohorts(9000, 3)),
    )  # fmt: skip


def contents(board: Scoreboard) -> tuple[object, ...]:
    return dict(board.items()), counts(board)


def recount(events: Iterable[Event]) -> tuple[dict[str, Row], tuple[object, ...]]:
    """Rows and counts, the slow and obvious way."""
    ordered = sorted(events, key=lambda event: event.stamp)
    sizes: dict[str, set[int]] = {}
    rows: dict[str, Row] = {}
    for event in ordered:
        if isinstance(event, Answer):
            size = len(event.rows)
            sizes.setdefault(event.request_id, set()).update({size} - {1})
            for i, said in enumerate(event.rows):
                row = rows.setdefault(document_id(event.request_id, i, size), Row())
                row.predicted, row.answered = said, event.stamp
    for event in ordered:
        if isinstance(event, Judgement):
            truths = event.feedback.truths
            if len(truths) in sizes.get(event.request_id, ()):
                for i, truth in enumerate(truths):
                    if truth is not None:
                        row = rows[document_id(event.request_id, i, len(truths))]
                        row.actual, row.reward = read_truth(PETS, truth), None
                        row.judged = event.stamp
                continue
            row = rows.setdefault(document_id(event.request_id, 0, 1), Row())
            row.actual = read_truth(PETS, event.feedback.whole()) if truths else None
            row.reward, row.judged = event.feedback.reward, event.stamp
            row.misfit = not row.answered and bool(sizes.get(event.request_id))
    board, times = Scoreboard(PETS), Times()
    for row in rows.values():
        seen = verdict(PETS, row)
        board.states[seen.state] += 1
        board.reasons.update([seen.reason] if seen.reason else [])
        board.correct += seen.correct is True
        board.incorrect += seen.correct is False
        if seen.pair:
            board.matrix.add(*seen.pair)
        for name, number in seen.sums.items():
            board.sums[name].add(number)
        if row.answered:
            times.add(row.answered, row.judged, 1)
    board.times = times
    return rows, counts(board)


@given(EVENTS)
def test_rows_and_counts_equal_a_recount(events: list[Event]) -> None:
    assert contents(shown(events)) == recount(events)


@given(EVENTS.flatmap(lambda events: st.tuples(st.just(events), st.permutations(events))))
def test_order_does_not_matter(case: tuple[list[Event], list[Event]]) -> None:
    one, other = case
    assert contents(shown(one)) == contents(shown(other))


@given(EVENTS, st.data())
def test_repeating_does_not_matter(events: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events))) if events else []
    board = shown(events)
    before = contents(board)
    assert not any(show(board, event).changes for event in again)
    assert contents(board) == before


@given(EVENTS, st.data())
def test_repeating_in_between_does_not_matter(events: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events))) if events else []
    mixed = data.draw(st.permutations([*events, *again]))
    assert contents(shown(mixed)) == contents(shown(events))


@given(EVENTS)
def test_feedback_that_newer_replaces_is_not_missed(events: list[Event]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loose, "_MANY", 0)
        assert contents(shown(events)) == recount(events)


@given(EVENTS)
def test_every_row_is_one_that_an_event_names(events: list[Event]) -> None:
    named = set()
    for event in events:
        size = len(event.rows) if isinstance(event, Answer) else 1
        named |= {document_id(event.request_id, row, size) for row in range(size)}
    assert dict(shown(events).items()).keys() <= named


@given(EVENTS)
def test_every_row_is_in_one_state_and_scored_is_right_or_wrong(events: list[Event]) -> None:
    board = shown(events)
    assert sum(board.states.values()) == len(board)
    assert board.correct + board.incorrect == board.states["scored"]
    assert sum(board.reasons.values()) == board.states["unscorable"]


@given(EVENTS)
def test_taking_everything_back_leaves_nothing(events: list[Event]) -> None:
    """Feedback lent to a board by others is gone without a trace when they take it back."""
    board, lent = shown(events), Scoreboard(PETS)
    for event in events:
        show(lent, event)
    for event in events:
        if isinstance(event, Judgement):
            lent.judge(event.request_id, lent_stamp(event.stamp, "lender"), event.feedback)
    for request_id in IDS:
        lent.drop_borrowed(request_id, "lender")
    assert contents(lent) == contents(board)


@given(EVENTS, EVENTS)
def test_ones_own_feedback_goes_before_what_is_lent(
    events: list[Event], theirs: list[Event]
) -> None:
    judgements = [event for event in theirs if isinstance(event, Judgement)]
    borrowed = [each._replace(stamp=lent_stamp(each.stamp, "lender")) for each in judgements]
    board, alone = shown([*borrowed, *events]), shown(events)
    for name, row in alone.items():
        if row.judged and row.answered:
            held = board.row(name)
            assert held is not None
            assert (held.judged, held.actual) == (row.judged, row.actual)


@given(EVENTS, st.integers(0, 3))
def test_at_the_limit_the_rows_held_stay_exact(events: list[Event], limit: int) -> None:
    capacity = Capacity(limit)
    lone = [event for event in events if entries(event) == 1]
    board = shown(lone, capacity)
    held = [event for event in lone if document_id(event.request_id, 0, 1) in dict(board.items())]
    assert contents(board) == contents(shown(held))
    assert capacity.held == len(board) <= limit
    assert board.dropped == len(lone) - len(held)


@given(EVENTS, st.integers(0, 4))
def test_a_limit_is_kept_whatever_comes(events: list[Event], limit: int) -> None:
    capacity = Capacity(limit)
    board = shown(events, capacity)
    assert capacity.held == len(board) <= limit
    assert sum(board.states.values()) == len(board)


def entries(event: Event) -> int:
    return len(event.rows) if isinstance(event, Answer) else event.feedback.entries


def test_boards_can_share_a_limit() -> None:
    capacity = Capacity(1)
    one, other = Scoreboard(PETS, capacity), Scoreboard(PETS, capacity)
    assert one.answer("r", stamp(1), [CAT]) is Outcome.APPLIED
    assert other.answer("r", stamp(1), [CAT]) is Outcome.OVER_LIMIT
    assert one.judge("r", stamp(2), Feedback(("cat",))) is Outcome.APPLIED


def test_outcomes_of_truth_about_one_row() -> None:
    board = shown([Answer("r", stamp(1), (CAT,))])
    assert [board.judge("r", stamp(at), Feedback(("cat",))) for at in (3, 3, 2, 4)] == [
        Outcome.APPLIED, Outcome.DUPLICATE, Outcome.SUPERSEDED, Outcome.CORRECTED,
    ]  # fmt: skip


def test_a_correction_moves_the_count() -> None:
    board = shown([Answer("r", stamp(1), (CAT,)), Judgement("r", stamp(2), Feedback(("dog",)))])
    assert board.matrix.counts() == {("cat", "dog"): 1}
    board.judge("r", stamp(3), Feedback(("cat",)))
    assert board.matrix.counts() == {("cat", "cat"): 1}
    assert (board.correct, board.incorrect) == (1, 0)


def test_early_truth_waits_for_its_answer_of_however_many_rows() -> None:
    board = shown([Judgement("r", stamp(2), Feedback(("cat", "dog")))])
    assert board.states["unmatched"] == len(board) == 1
    board.answer("r", stamp(1), [CAT, CAT])
    assert dict(board.items()).keys() == {"r-item-0", "r-item-1"}
    assert (board.correct, board.incorrect, board.states["unmatched"]) == (1, 1, 0)


@pytest.mark.parametrize("truths", [(1, 0, 0), ([1], [0], [0]), ([[True]], [[False]], [[False]])])
@pytest.mark.parametrize("answer_first", [True, False])
def test_one_hot_truth_of_a_lone_row_may_be_flat_or_a_column(
    answer_first: bool, truths: tuple[object, ...]
) -> None:
    events: list[Event] = [
        Answer("r", stamp(1), (CAT,)),
        Judgement("r", stamp(2), Feedback(truths)),
    ]
    board = shown(events if answer_first else reversed(events))
    assert board.matrix.counts() == {("cat", "cat"): 1}


@pytest.mark.parametrize(
    "feedback", [Feedback(("cat",)), Feedback(("cat",) * 3), Feedback(reward=1.0)]
)
def test_feedback_of_another_shape_than_the_answer_is_unscorable(feedback: Feedback) -> None:
    board = shown([Answer("r", stamp(1), (CAT, DOG)), Judgement("r", stamp(2), feedback)])
    assert board.reasons == {Reason.TRUTH_SHAPE: 1}
    assert board.states == {"scored": 0, "unlabelled": 2, "unmatched": 0, "unscorable": 1}


def test_lists_of_labels_are_not_one_row_of_several() -> None:
    board = Scoreboard(read_output({"kind": "multilabel", "classes": ["a", "b"]}))
    board.answer("r", stamp(1), [read_answer(board.output, ["a", "b"])])
    board.judge("r", stamp(2), Feedback((["a"], ["b"])))
    assert board.reasons == {Reason.TRUTH_UNREADABLE: 1}


def test_one_bad_truth_costs_no_other_row() -> None:
    board = shown(
        [
            Answer("r", stamp(1), (CAT, DOG, CAT)),
            Judgement("r", stamp(2), Feedback((-1, "dog", "rosa"))),
        ]
    )
    assert (board.correct, board.incorrect) == (1, 0)
    assert board.reasons == {Reason.TRUTH_UNKNOWN_CLASS: 2}


def test_a_later_truth_may_be_about_one_row_of_a_batch() -> None:
    board = shown(
        [
            Answer("r", stamp(1), (CAT, DOG)),
            Judgement("r", stamp(2), Feedback(("cat", "cat"))),
            Judgement("r", stamp(3), Feedback((None, "dog"))),
        ]
    )
    assert (board.correct, board.incorrect) == (2, 0)


def test_an_id_that_looks_like_a_row_of_another_request_is_its_own() -> None:
    board = shown([Answer("P", stamp(1), (CAT, DOG)), Answer("P-item-1", stamp(2), (CAT,))])
    board.judge("P-item-1", stamp(3), Feedback(("cat",)))
    board.judge("P", stamp(3), Feedback(("cat", "dog")))
    assert (len(board), board.correct, board.incorrect) == (3, 3, 0)


def test_an_id_used_for_two_batches_keeps_a_truth_for_either() -> None:
    board = shown([Answer("r", stamp(1), (CAT, DOG, CAT)), Answer("r", stamp(2), (CAT, CAT))])
    board.judge("r", stamp(3), Feedback(("cat", "cat")))
    board.judge("r", stamp(4), Feedback((None, None, "cat")))
    assert (len(board), board.correct, board.states["unlabelled"]) == (3, 3, 0)


def test_what_is_lent_does_not_count_until_it_is_ones_own() -> None:
    board = shown([Judgement("r", stamp(2), Feedback(("cat",)))])
    assert board.unanswered("r") == {stamp(2): Feedback(("cat",))}
    board.lend("r")
    assert board.states["unmatched"] == 0
    board.answer("r", stamp(1), [CAT])
    assert (board.correct, board.unanswered("r")) == (1, {})


@pytest.mark.parametrize("size", [1, 2])
def test_what_was_lent_is_ones_own_when_an_answer_comes(size: int) -> None:
    board = shown([Judgement("r", stamp(2), Feedback(("cat",)))])
    board.lend("r")
    board.answer("r", stamp(1), [CAT] * size)
    assert contents(board) == recount(
        [Answer("r", stamp(1), (CAT,) * size), Judgement("r", stamp(2), Feedback(("cat",)))]
    )


def test_feedback_that_newer_replaces_is_not_kept_for_ever() -> None:
    board = Scoreboard(PETS)
    for second in range(1000):
        board.judge("r", stamp(second), Feedback(("cat", "dog", None)))
        board.judge("r", stamp(second), Feedback(("cat",)))
    board.judge("r", stamp(0, "z"), Feedback((None, None, "bird")))
    assert len(board.unanswered("r")) < 20
    board.answer("r", stamp(1), [CAT, DOG, CAT])
    assert board.matrix.counts() == {("cat", "cat"): 1, ("dog", "dog"): 1, ("cat", "bird"): 1}


def test_answers_that_are_not_kept_leave_nothing_behind() -> None:
    board = Scoreboard(PETS, Capacity(1))
    board.judge("r", stamp(1), Feedback(("cat", "dog")))
    assert board.answer("r", stamp(2), [CAT, DOG]) is Outcome.OVER_LIMIT
    assert board.states == {"scored": 0, "unlabelled": 0, "unmatched": 1, "unscorable": 0}


@pytest.mark.parametrize("output", [None, PETS])
@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (Row(answered="1", predicted=CAT), UNLABELLED),
        (Row(judged="1", actual=CAT), UNMATCHED),
        (Row(judged="1", actual=CAT, misfit=True), unscorable(Reason.TRUTH_SHAPE)),
        (Row(CAT, "1", None, 1.0, "1"), Verdict("scored", correct=True, sums={"reward": 1.0})),
    ],
)
def test_the_verdict_on_a_row(output: Output | None, row: Row, seen: Verdict) -> None:
    assert verdict(output, row) == seen


def test_a_row_with_both_is_judged_by_what_the_output_is_declared_to_be() -> None:
    assert verdict(PETS, Row(CAT, "1", DOG, None, "1")) == judge(PETS, CAT, DOG, None)


def test_what_waits_is_counted_once() -> None:
    events = [Judgement("r", stamp(i), Feedback(("cat",) * (i + 1))) for i in range(4)]
    assert Counter(shown(events).states) == Counter(unmatched=1)
