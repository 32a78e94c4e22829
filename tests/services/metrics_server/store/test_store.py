import json
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from closedloop.loop import events
from closedloop.loop.events import Event
from closedloop.loop.observation import observe
from closedloop.loop.output import Output, read_output
from closedloop.loop.scoring.row import Row
from closedloop.services.metrics_server.source import Unavailable
from closedloop.services.metrics_server.state import OVERLAP_SECONDS, State
from closedloop.services.metrics_server.store.engine import Damaged, Engine, Unwritable
from closedloop.services.metrics_server.store.store import Store, open_store
from tests.services.metrics_server.running import answer, event, truth
from tests.services.metrics_server.test_state import EVENT, PETS, SHADOW, counts, logged, restored

MEMORY = 8 << 20
DECLARED = read_output({"kind": "probabilities", "classes": ["cat", "dog", "bird"]})


def opened(folder: Path, output: Output | None = None) -> tuple[State, Store]:
    store = open_store(folder, MEMORY)
    return State(store, output_of=lambda _: output), store


def rows(state: State) -> dict[object, dict[str, Row]]:
    return {
        predictor: dict(board.items()) for predictor, board in state.boards.items() if len(board)
    }


def same(one: State, other: State) -> None:
    assert counts(one) == counts(other)
    assert rows(one) == rows(other)
    assert one.held == other.held


CRASH, COMMIT = "crash", "commit"
STEPS = st.lists(EVENT | st.sampled_from([CRASH, COMMIT]), max_size=14)


@settings(deadline=None)
@given(STEPS, st.sampled_from([None, DECLARED]))
def test_a_crash_costs_what_came_after_the_last_commit_and_nothing_else(
    steps: list[Event | str], output: Output | None
) -> None:
    """A state on disk, whatever came and wherever it ended, is that of memory without the rest."""
    with TemporaryDirectory() as name:
        state, store = opened(Path(name), output)
        kept: list[Event] = []
        since: list[Event] = []
        for step in steps:
            if isinstance(step, Event):
                state.observe(observe(step))
                since.append(step)
            elif step == COMMIT:
                state.commit()
                kept, since = kept + since, []
            else:
                store.close()
                since = []
                state, store = opened(Path(name), output)
        plain = State(output_of=lambda _: output)
        for each in kept + since:
            plain.observe(observe(each))
        same(state, plain)
        store.close()


@settings(deadline=None, max_examples=25)
@given(st.lists(EVENT, max_size=8), st.integers(0, 8))
def test_the_log_brings_what_a_crash_cost(happened: list[Event], committed: int) -> None:
    with TemporaryDirectory() as name:
        state, store = opened(Path(name))
        for number, one in enumerate(happened):
            if number == committed:
                state.commit()
            state.observe(observe(one))
        store.close()
        state, store = opened(Path(name))
        same(restored(logged(happened), state), restored(logged(happened)))
        store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


HAPPENED = [
    answer("cat"),
    truth("cat"),
    answer("dog", request_id="s"),
    answer("cat", "dog", request_id="two"),
]


def written(folder: Path, happened: list[Event] = HAPPENED, output: Output | None = None) -> State:
    state, store = opened(folder, output)
    for one in happened:
        state.observe(observe(one))
    state.read_until = 7.0
    state.commit()
    store.close()
    return state


def test_what_was_read_of_the_log_is_known_again(folder: Path) -> None:
    written(folder)
    assert opened(folder)[0].read_until == 7.0


def test_a_board_of_another_declaration_is_read_anew(folder: Path) -> None:
    written(folder)
    state, store = opened(folder, DECLARED)
    assert (state.held, state.incomplete) == (0, {PETS})
    state.observe(observe(answer([1, 0, 0])))
    state.commit()
    store.close()
    state, _ = opened(folder, DECLARED)
    assert (state.held, state.incomplete) == (1, set())


def test_a_predictor_that_the_filter_left_out_since_is_gone(folder: Path) -> None:
    written(folder)
    store = open_store(folder, MEMORY)
    state = State(store, {SHADOW})
    state.commit()
    store.close()
    assert opened(folder)[0].boards == {}


def test_rows_that_two_reads_did_not_find_leave_the_disk(folder: Path) -> None:
    state, store = opened(folder)
    for one in HAPPENED:
        state.observe(observe(one))
    left = logged([one for one in HAPPENED if one.request_id != "two"])
    for now in (0, OVERLAP_SECONDS):
        state.count_against_log(now)
        restored(left, state)
        gone = [one for one in state.forget_what_is_gone() if one]
    state.commit()
    store.close()
    assert gone == [PETS, PETS]
    same(opened(folder)[0], restored(left))


def test_a_row_that_one_process_missed_is_no_suspect_of_the_next(folder: Path) -> None:
    state, store = opened(folder)
    for one in HAPPENED:
        state.observe(observe(one))
    state.count_against_log(1e9)
    assert not any(state.forget_what_is_gone())
    state.commit()
    store.close()
    state, _ = opened(folder)
    state.count_against_log(2e9)
    assert not any(state.forget_what_is_gone())
    assert state.census.suspects == state.held == 4


def test_rows_that_are_only_read_do_not_stay_in_memory(folder: Path) -> None:
    written(folder)
    state, store = opened(folder)
    assert [state.boards[PETS].row(name) for name in state.boards[PETS]]
    (tables,) = (kept.tables for kept in store._boards.values())
    assert sum(table.pending for table in tables)
    state.commit()
    assert not sum(table.pending for table in tables)


def test_a_retired_row_stays_counted_after_a_restart(folder: Path) -> None:
    state, store = opened(folder)
    state.observe(observe(answer("cat")))
    for _ in state.retire(4e9):
        pass
    state.commit()
    store.close()
    again, _ = opened(folder)
    assert (again.held, again.horizon, again.since(PETS)) == (0, 4e9, state.since(PETS))
    assert counts(again) == counts(state)
    assert sum(again.boards[PETS].retired.states.values()) == 1


def _garbage(folder: Path) -> None:
    for file in (folder / "rows").glob("MANIFEST-*"):
        file.write_bytes(b"garbage")


def _foreign(folder: Path) -> None:
    engine = Engine(folder / "rows", MEMORY)
    engine.commit({b"format": b"another's"})
    engine.close()


def _record(folder: Path) -> None:
    engine = Engine(folder / "rows", MEMORY)
    engine.commit({b"board\0\0\0\0": json.dumps(["one name"]).encode()})
    engine.close()


def _file(folder: Path) -> None:
    (folder / "rows").rename(folder / "elsewhere")
    (folder / "rows").write_text("a file")


@pytest.mark.parametrize("spoil", [_garbage, _foreign, _record, _file])
@pytest.mark.parametrize("before", [True, False])
def test_files_that_are_not_ours_are_set_aside_with_a_sentence(
    folder: Path, spoil: "type[object]", before: bool
) -> None:
    written(folder)
    if before:
        (folder / "rows-set-aside").mkdir()
    spoil(folder)  # type: ignore[call-arg]
    with capture_logs() as said:
        state, store = opened(folder)
    assert (state.held, state.read_until) == (0, 0.0)
    assert (folder / "rows-set-aside").exists()
    (line,) = said
    assert "set aside" in line["event"]
    store.close()


def test_a_row_that_cannot_be_read_is_damage(folder: Path) -> None:
    written(folder)
    engine = Engine(folder / "rows", MEMORY)
    (key, *_) = [key for key, _ in engine.range(b"r")]
    engine.commit({key: b"\x04 too short"})
    engine.close()
    state, _ = opened(folder)
    with pytest.raises(Damaged):
        list(state.boards[PETS].items())


def failing(self: Engine, *_: object) -> None:
    raise Unwritable("IO error: No space left on device")


def test_on_a_full_disk_no_event_is_taken_and_none_is_lost(folder: Path) -> None:
    state, store = opened(folder)
    answered, judged = answer("cat"), truth("cat")
    state.observe(observe(answered))
    with patch.object(Engine, "commit", failing):
        state.commit()
        for one in (judged, event(events.FEEDBACK, {"reward": 1}, request_id="s")):
            with pytest.raises(Unavailable, match="No space left"):
                state.observe(observe(one))
        with pytest.raises(Unavailable):
            state.restore(logged([answered])[0])
    state.commit()
    state.observe(observe(judged))
    state.commit()
    store.close()
    same(opened(folder)[0], restored(logged([answered, judged])))
