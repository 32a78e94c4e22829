from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop import events
from closedloop.loop.events import Event, InvalidEvent
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import observe
from closedloop.loop.scoring import Outcome
from closedloop.loop.scoring.verdict import SUMS
from closedloop.loop.sections import Document, predictor_of
from closedloop.services.metrics_server.source import Ignored
from closedloop.services.metrics_server.state import OVERLAP_SECONDS, State
from tests.memory_store import MemoryLogger
from tests.services.metrics_server.running import (
    NAMES,
    START,
    answer,
    documents_of,
    event,
    reward,
    truth,
)

PETS = Predictor("seldon", "pets", "default")
SHADOW = Predictor("seldon", "pets", "shadow")


def see(state: State, one: Event) -> Outcome | Ignored:
    return state.observe(observe(one))


def after(happened: Iterable[Event], state: State | None = None) -> State:
    state = state or State()
    for one in happened:
        see(state, one)
    return state


def counts(state: State) -> dict[Predictor, tuple[object, ...]]:
    """The counts of each predictor that has rows."""
    return {
        predictor: (
            {name: count for name, count in board.states.items() if count},
            {reason: count for reason, count in board.reasons.items() if count},
            board.matrix.counts(),
            board.correct,
            board.incorrect,
            {name: (each.count, each.total) for name, each in board.sums.items() if each.count},
            board.times.delays(),
        )
        for predictor, board in state.boards.items()
        if any(board.states.values())
    }


def restored(documents: Iterable[Document], state: State | None = None) -> State:
    state = state or State()
    for document in documents:
        state.restore(document)
    return state


def logged(happened: Iterable[Event], look: bool = True) -> list[Document]:
    logger = MemoryLogger()
    for one in happened:
        logger.log(one)
    if look:
        logger.look()
    return list(logger.store.documents.values())


def scored(documents: Iterable[Document]) -> dict[Predictor, tuple[object, ...]]:
    """The counts of the log, as an aggregation over its scores has them."""
    boards: dict[Predictor, list[dict[str, object]]] = {}
    for document in documents:
        score = document.get("score")
        if isinstance(score, dict):
            boards.setdefault(predictor_of(document), []).append(score)
    return {
        predictor: (
            dict(Counter(str(score["state"]) for score in scores)),
            dict(Counter(str(score["reason"]) for score in scores if "reason" in score)),
            dict(
                Counter(
                    (str(score["predicted"]), str(score["actual"]))
                    for score in scores
                    if "predicted" in score
                )
            ),
            sum(score.get("correct") is True for score in scores),
            sum(score.get("correct") is False for score in scores),
            {
                name: (len(found), float(sum(found)))
                for name in SUMS
                if (found := [float(str(score[name])) for score in scores if name in score])
            },
        )
        for predictor, scores in boards.items()
    }


def log_counts(happened: Iterable[Event]) -> dict[Predictor, dict[tuple[str, ...], int]]:
    """The counts of `InferenceLog.counts` for the log of these events."""
    counted: dict[Predictor, dict[tuple[str, ...], int]] = {}
    for document in logged(happened):
        score = document.get("score")
        if isinstance(score, dict):
            keys: list[tuple[str, ...]] = [("state", score["state"])]
            if "correct" in score:
                keys.append(("correct", str(score["correct"]).lower()))
            if "predicted" in score:
                keys.append(("cell", score["predicted"], score["actual"]))
            of_one = counted.setdefault(predictor_of(document), {})
            for key in keys:
                of_one[key] = of_one.get(key, 0) + 1
    return counted


def one_hot(label: int) -> list[int]:
    return [int(i == label) for i in range(3)]


LABEL = st.integers(0, 2)
SAME = st.sampled_from([lambda label: label, one_hot, lambda label: NAMES[label]])
ROW = st.builds(lambda say, label: say(label), SAME, LABEL)
WHERE = st.fixed_dictionaries(
    {
        "request_id": st.sampled_from(["r", "s", "r-item-1"]),
        "second": st.integers(0, 9),
        "deployment": st.sampled_from(["pets", "Pets"]),
        "predictor": st.sampled_from(["default", "shadow", "canary"]),
        "event_id": st.uuids(),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=3)
EVENT = st.one_of(
    st.builds(lambda rows, where: answer(*rows, **where), ROWS, WHERE),
    st.builds(lambda rows, where: answer(*rows, names=[], **where), ROWS, WHERE),
    st.builds(lambda rows, where: truth(*rows, **where), ROWS, WHERE),
    st.builds(lambda rows, where: truth(None, *rows, **where), ROWS, WHERE),
    st.builds(lambda value, where: reward(value, **where), st.sampled_from([0, 1, 0.5]), WHERE),
    st.builds(
        lambda rows, where: event(events.REQUEST, {"data": {"ndarray": rows}}, **where),
        ROWS,
        WHERE,
    ),
)
HAPPENED = st.lists(EVENT, max_size=15)


@given(HAPPENED)
def test_agrees_with_the_log(happened: list[Event]) -> None:
    ours = {predictor: said[:6] for predictor, said in counts(after(happened)).items()}
    assert ours == scored(logged(happened))


def test_feedback_older_than_what_was_lent_is_lent_as_well() -> None:
    where: dict[str, Any] = {"request_id": "r", "deployment": "pets"}
    happened = [
        truth(None, 0, predictor="shadow", second=2, **where),
        answer(0, 0, predictor="default", second=0, **where),
        truth(0, predictor="shadow", second=1, **where),
    ]
    logger = MemoryLogger()
    for one in happened:
        logger.log(one)
        logger.look()
    documents = list(logger.store.documents.values())
    ours = {predictor: said[:6] for predictor, said in counts(after(happened)).items()}
    assert ours == scored(documents)
    assert "truth_shape" in str(ours[Predictor("seldon", "pets", "default")])


@given(HAPPENED, st.integers(0, 15))
def test_agrees_with_a_log_that_was_looked_at_in_between(
    happened: list[Event], between: int
) -> None:
    logger = MemoryLogger()
    for i, one in enumerate(happened):
        logger.log(one)
        if i >= between:
            logger.look()
    logger.look()
    documents = list(logger.store.documents.values())
    ours = {predictor: said[:6] for predictor, said in counts(after(happened)).items()}
    assert ours == scored(documents)
    assert counts(restored(documents)) == counts(after(happened))


@given(HAPPENED)
def test_agrees_with_a_log_that_was_written_at_once(happened: list[Event]) -> None:
    logger = MemoryLogger()
    logger.log(*happened)
    logger.look()
    ours = {predictor: said[:6] for predictor, said in counts(after(happened)).items()}
    assert ours == scored(logger.store.documents.values())


@given(HAPPENED.flatmap(lambda happened: st.tuples(st.just(happened), st.permutations(happened))))
def test_order_does_not_matter(case: tuple[list[Event], list[Event]]) -> None:
    one, other = case
    assert counts(after(one)) == counts(after(other))


@given(HAPPENED)
def test_what_comes_again_changes_nothing(happened: list[Event]) -> None:
    state = after(happened)
    before = counts(state), state.changes
    outcomes = [see(state, one) for one in happened]
    assert not {Outcome.APPLIED, Outcome.CORRECTED} & set(outcomes)
    assert (counts(state), state.changes) == before


@given(HAPPENED)
def test_what_is_restored_is_what_was(happened: list[Event]) -> None:
    assert counts(restored(logged(happened))) == counts(after(happened))


@given(HAPPENED.flatmap(lambda happened: st.tuples(st.just(happened), st.randoms())))
def test_the_order_of_the_log_does_not_matter(case: tuple[list[Event], object]) -> None:
    happened, random = case
    documents = logged(happened)
    random.shuffle(documents)  # type: ignore[attr-defined]
    assert counts(restored(documents)) == counts(after(happened))


@given(HAPPENED, st.integers(0, 15), st.integers(0, 15))
def test_a_restart_in_the_middle_changes_nothing(
    happened: list[Event], stopped: int, missed: int
) -> None:
    """The log is ahead of what is sent again, or behind it: both feeds meet."""
    state = after(happened[: stopped // 2])
    restored(logged(happened[:stopped]), state)
    after(happened[min(stopped, missed) :], state)
    # A row that was merged into the log may be known to the log alone until the next look.
    restored(logged(happened), state)
    assert counts(state) == counts(after(happened))


@given(HAPPENED)
def test_finds_no_mismatch_with_a_log_of_the_same_events(happened: list[Event]) -> None:
    state = after(happened)
    state.compare(log_counts(happened))
    assert set(state.mismatches.values()) <= {0}
    assert state.mismatches.keys() == state.boards.keys()


def test_counts_the_cells_that_differ() -> None:
    state = after([answer("cat"), truth("cat"), answer("dog", request_id="s")])
    ours: dict[tuple[str, ...], int] = {
        ("state", "scored"): 1, ("state", "unlabelled"): 1, ("correct", "true"): 1,
        ("cell", "cat", "cat"): 1,
    }  # fmt: skip
    state.compare({PETS: ours})
    assert state.mismatches == {PETS: 0}
    state.compare({PETS: ours | {("cell", "cat", "cat"): 2, ("state", "scored"): 2}, SHADOW: ours})
    assert state.mismatches == {PETS: 2, SHADOW: 4}


def test_outcomes() -> None:
    right, wrong = truth("cat", second=2), truth("dog", second=3)
    assert [see(after([]), one) for one in (answer("cat"), right)] == [Outcome.APPLIED] * 2
    state = after([answer("cat"), right])
    assert see(state, right) is Outcome.DUPLICATE
    assert see(state, truth("dog", second=1)) is Outcome.SUPERSEDED
    assert see(state, wrong) is Outcome.CORRECTED
    assert state.boards[PETS].matrix.counts() == {("cat", "dog"): 1}


def test_a_batch_has_its_most_telling_outcome() -> None:
    state = after([answer("cat", "dog"), truth("cat", None, second=1)])
    assert see(state, truth("dog", "dog", second=0)) is Outcome.APPLIED


def test_requests_are_ignored_whatever_they_hold() -> None:
    state = State()
    assert see(state, event(events.REQUEST, {"data": {"ndarray": [[1]]}})) is Ignored.IGNORED
    assert state.held == 0


def test_a_filter_leaves_others_out() -> None:
    state = State(None, {PETS})
    happened = [answer("cat", predictor=name) for name in ("default", "shadow")]
    assert [see(state, one) for one in happened] == [Outcome.APPLIED, Ignored.IGNORED]
    restored(logged([answer("dog", request_id="s", predictor="shadow")]), state)
    state.compare({PETS: {("state", "unlabelled"): 1}, SHADOW: {("state", "scored"): 1}})
    assert set(state.boards) == {PETS}
    assert state.mismatches == {PETS: 0}


@pytest.mark.parametrize("body", [{}, {"truth": {"data": {}}}, b"{"])
def test_what_is_refused_leaves_no_trace(body: object) -> None:
    state = after([answer("cat", "dog")])
    before = counts(state)
    with pytest.raises(InvalidEvent):
        see(state, event(events.FEEDBACK, body))
    assert (counts(state), state.held) == (before, 2)


def test_restoring_tells_news_from_none() -> None:
    state = State()
    (document,) = documents_of([answer("cat"), truth("cat")]).values()
    assert [state.restore(document) for _ in range(2)] == [True, False]


def test_a_request_alone_holds_no_row() -> None:
    state = restored(logged([event(events.REQUEST, {"data": {"ndarray": [[1]]}})]))
    assert state.held == 0
    assert set(state.boards) == {PETS}  # its series begin at 0


def test_one_predictor_too_many_is_refused_whatever_comes_of_it() -> None:
    state = State(max_predictors=1)
    see(state, answer("cat"))
    for one in (
        event(events.REQUEST, {"data": {"ndarray": [[1]]}}, predictor="shadow"),
        answer("cat", predictor="shadow"),
        truth("cat", predictor="shadow"),
    ):
        with pytest.raises(InvalidEvent, match="MAX_PREDICTORS") as refused:
            see(state, one)
        assert refused.value.reason == "too_many_predictors"
    assert set(state.boards) == {PETS}


def read_whole_log(state: State, documents: Iterable[Document], now: float) -> dict[Predictor, int]:
    state.count_against_log(now)
    restored(documents, state)
    return Counter(gone for gone in state.forget_what_is_gone() if gone is not None)


@given(st.lists(EVENT, max_size=10), st.data())
def test_rows_whose_documents_are_gone_leave_what_a_restart_would(
    happened: list[Event], data: st.DataObject
) -> None:
    documents = logged(happened)
    requests = sorted({(predictor_of(one).deployment, str(one["RequestId"])) for one in documents})
    lost = {each for each in requests if data.draw(st.booleans())}
    left = [
        one
        for one in documents
        if (predictor_of(one).deployment, str(one["RequestId"])) not in lost
    ]
    state = after(happened)
    read_whole_log(state, left, 0)
    read_whole_log(state, left, OVERLAP_SECONDS)
    assert counts(state) == counts(restored(left))
    assert state.held == restored(left).held


def test_a_batch_that_is_gone_takes_feedback_with_it_that_was_lent_to_it() -> None:
    left, lent = [answer("cat", request_id="s")], truth(None, "cat", "cat", predictor="shadow")
    state = after([answer("cat", "cat", "dog"), lent, *left])
    for now in (0, OVERLAP_SECONDS):
        read_whole_log(state, logged(left), now)
    assert counts(state) == counts(after(left))


def test_feedback_that_is_gone_with_its_answer_stays_with_nobody_it_was_lent_to() -> None:
    """The answer's rows go before the feedback does, which is the shadow's in between."""
    left = [answer("cat", request_id="s")]
    batch = [answer("cat", "cat"), reward(1), answer("cat", "cat", predictor="shadow")]
    state = after([*batch, *left])
    for now in (0, OVERLAP_SECONDS):
        read_whole_log(state, logged(left), now)
    assert counts(state)[PETS] == counts(after(left))[PETS]
    assert state.held == 1


def test_what_is_gone_is_counted() -> None:
    kept = [answer("dog", request_id="s"), truth("dog", request_id="s")]
    state, left = after([answer("cat"), truth("cat"), kept[0]]), logged(kept[:1])
    assert read_whole_log(state, left, 0) == {}
    assert read_whole_log(state, left, OVERLAP_SECONDS) == {PETS: 1}
    assert state.held == 1
    assert counts(after(kept[1:], state)) == counts(after(kept))


HOUR = timedelta(hours=1)


def test_rows_that_are_too_old_leave_and_their_counts_stay() -> None:
    state = after([answer("cat"), truth("dog"), answer("dog", request_id="s", second=7200)])
    before = counts(state)
    for _ in state.retire((START + HOUR).timestamp()):
        pass
    assert (state.held, counts(state)) == (1, before)
    assert state.since(PETS) == START.timestamp()
    # Of the rows that are held, the log counts the same.
    state.compare({PETS: {("state", "unlabelled"): 1}})
    assert state.mismatches == {PETS: 0}


def test_what_comes_later_about_a_row_that_left_changes_no_count() -> None:
    happened = [answer("cat"), truth("dog")]
    state = after([*happened, answer("dog", request_id="s", second=7200)])
    for _ in state.retire((START + HOUR).timestamp()):
        pass
    before = counts(state)
    assert {see(state, one) for one in happened} == {Ignored.EXPIRED}
    late = truth("cat", second=9000)
    assert see(state, late) is Outcome.APPLIED  # nothing tells yet that its answer is old
    assert restored(logged([*happened, late]), state) is state
    assert (state.held, counts(state)) == (1, before)
