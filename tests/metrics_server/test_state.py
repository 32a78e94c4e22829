from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop import events
from closedloop.documents import Predictor
from closedloop.events import Event, InvalidEvent
from closedloop.metrics_server.state import Ignored, State
from closedloop.scoring import Outcome
from tests.metrics_server.running import NAMES, answer, documents_of, event, reward, truth

PETS = Predictor("seldon", "pets", "default")
SHADOW = Predictor("seldon", "pets", "shadow")


def after(happened: Iterable[Event], state: State | None = None) -> State:
    state = state or State(1000)
    for one in happened:
        state.observe(one)
    return state


def contents(state: State) -> dict[Predictor, tuple[object, ...]]:
    return {
        predictor: (
            dict(board.items()), board.matrix.counts(), board.correct, board.incorrect,
            board.states,
        )
        for predictor, board in state.boards.items()
    }  # fmt: skip


def restored(happened: Iterable[Event], state: State | None = None) -> State:
    state = state or State(1000)
    for (_, document_id), document in documents_of(happened).items():
        state.restore(document_id, document)
    return state


def cells(happened: Iterable[Event]) -> dict[tuple[str, str, str], int]:
    """The confusion matrices in the log: by predictor, predicted and actual."""
    scores = [
        (str(document["Ce-Endpoint"]), document["score"]) for document in
        documents_of(happened).values()
    ]  # fmt: skip
    return Counter(
        (predictor, score["predicted"], score["actual"])
        for predictor, score in scores
        if isinstance(score, dict) and "predicted" in score
    )


def one_hot(label: int) -> list[int]:
    return [int(i == label) for i in range(3)]


LABEL = st.integers(0, 2)
SAME = st.sampled_from([lambda label: label, one_hot, lambda label: NAMES[label]])
ROW = st.builds(lambda say, label: say(label), SAME, LABEL)
WHERE = st.fixed_dictionaries(
    {
        "request_id": st.sampled_from("rs"),
        "second": st.integers(0, 9),
        "predictor": st.sampled_from(["default", "shadow"]),
        "event_id": st.uuids(),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=3)
HAPPENED = st.lists(
    st.one_of(
        st.builds(lambda rows, where: answer(*rows, **where), ROWS, WHERE),
        st.builds(lambda rows, where: answer(*rows, names=[], **where), ROWS, WHERE),
        st.builds(lambda rows, where: truth(*rows, **where), ROWS, WHERE),
        st.builds(lambda rows, where: truth(None, *rows, **where), ROWS, WHERE),
        st.builds(lambda value, where: reward(value, **where), st.sampled_from([0, 1]), WHERE),
    ),
    max_size=15,
)


@given(HAPPENED)
def test_agrees_with_the_log(happened: list[Event]) -> None:
    state = after(happened)
    ours = {
        (predictor.predictor, *cell): count
        for predictor, board in state.boards.items()
        for cell, count in board.matrix.counts().items()
    }
    assert ours == cells(happened)


@given(HAPPENED.flatmap(lambda happened: st.tuples(st.just(happened), st.permutations(happened))))
def test_order_does_not_matter(case: tuple[list[Event], list[Event]]) -> None:
    one, other = case
    assert contents(after(one)) == contents(after(other))


@given(HAPPENED)
def test_what_comes_again_changes_nothing(happened: list[Event]) -> None:
    state = after(happened)
    before = contents(state), state.changes
    outcomes = [state.observe(one) for one in happened]
    assert not {Outcome.APPLIED, Outcome.CORRECTED} & set(outcomes)
    assert (contents(state), state.changes) == before


@given(HAPPENED)
def test_what_is_restored_is_what_was(happened: list[Event]) -> None:
    assert contents(restored(happened)) == contents(after(happened))


@given(HAPPENED, st.integers(0, 15), st.integers(0, 15))
def test_a_restart_in_the_middle_changes_nothing(
    happened: list[Event], logged: int, missed: int
) -> None:
    """The log is ahead of what is sent again, or behind it: both feeds meet."""
    state = after(happened[: logged // 2])
    restored(happened[:logged], state)
    after(happened[min(logged, missed) :], state)
    assert contents(state) == contents(after(happened))


@given(HAPPENED)
def test_finds_no_mismatch_with_a_log_of_the_same_events(happened: list[Event]) -> None:
    state = after(happened)
    logged: dict[Predictor, dict[tuple[str, str], int]] = {}
    for (predictor, *cell), count in cells(happened).items():
        logged.setdefault(Predictor("seldon", "pets", predictor), {})[cell[0], cell[1]] = count
    state.compare(logged)
    assert set(state.mismatches.values()) <= {0}
    assert state.mismatches.keys() == state.boards.keys()


def test_counts_the_cells_that_differ() -> None:
    state = after([answer("cat"), truth("cat"), answer("dog", request_id="s")])
    state.compare({PETS: {("cat", "cat"): 2, ("dog", "cat"): 1}, SHADOW: {("cat", "cat"): 1}})
    assert state.mismatches == {PETS: 2, SHADOW: 1}


def test_outcomes() -> None:
    right, wrong = truth("cat", second=2), truth("dog", second=3)
    assert [after([]).observe(one) for one in (answer("cat"), right)] == [Outcome.APPLIED] * 2
    state = after([answer("cat"), right])
    assert state.observe(right) is Outcome.DUPLICATE
    assert state.observe(truth("dog", second=1)) is Outcome.SUPERSEDED
    assert state.observe(wrong) is Outcome.CORRECTED
    assert state.boards[PETS].matrix.counts() == {("cat", "dog"): 1}


def test_a_batch_has_its_most_telling_outcome() -> None:
    state = after([truth("cat", None, second=1)])
    assert state.observe(truth("dog", "dog", second=0)) is Outcome.APPLIED


def test_requests_are_ignored_whatever_they_hold() -> None:
    state = State(10)
    assert state.observe(event(events.REQUEST, b"\xff")) is Ignored.IGNORED
    assert not state.boards


def test_a_filter_leaves_others_out() -> None:
    state = State(10, {PETS})
    happened = [answer("cat", predictor=name) for name in ("default", "shadow")]
    assert [state.observe(one) for one in happened] == [Outcome.APPLIED, Ignored.IGNORED]
    restored([answer("dog", request_id="s", predictor="shadow")], state)
    state.compare({SHADOW: {("cat", "cat"): 1}})
    assert set(state.boards) == {PETS}
    assert state.mismatches == {PETS: 0}


@pytest.mark.parametrize("body", [{}, {"truth": {"data": {"ndarray": ["cat", [0, 0]]}}}, b"{"])
def test_what_is_refused_leaves_no_trace(body: object) -> None:
    state = after([answer("cat", "dog")])
    before = contents(state)
    with pytest.raises(InvalidEvent):
        state.observe(event(events.FEEDBACK, body))
    assert (contents(state), state.capacity.held) == (before, 2)


def test_at_the_limit_new_rows_are_missing_and_held_ones_go_on() -> None:
    state = after([answer("cat"), answer("dog", request_id="s")], State(1))
    assert (state.capacity.held, state.missing) == (1, 1)
    assert state.observe(truth("cat")) is Outcome.APPLIED
    assert state.observe(truth("dog", request_id="s")) is Outcome.OVER_LIMIT
    assert state.boards[PETS].matrix.counts() == {("cat", "cat"): 1}


def test_restoring_tells_news_from_none_and_from_no_room() -> None:
    state = State(1)
    (((_, name), document),) = documents_of([answer("cat"), truth("cat")]).items()
    assert [state.restore(name, document) for _ in range(2)] == [True, False]
    assert state.restore("another", document) is None


def test_a_request_alone_holds_no_room() -> None:
    state = restored([event(events.REQUEST, {"data": {"ndarray": [[1]]}})])
    assert not state.boards
