import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from closedloop.log.inference_log import Counts, InferenceLog
from closedloop.log.pages import PAGE
from closedloop.loop import rfc3339
from closedloop.loop.events import Event
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import observe
from closedloop.loop.scoring import ConfusionMatrix
from closedloop.loop.sections import Document
from closedloop.services.metrics_server.census import Census
from closedloop.services.metrics_server.replay import Replay
from closedloop.services.metrics_server.state import State
from tests.services.metrics_server.running import (
    answer,
    documents_of,
    truth,
)

PETS = Predictor("seldon", "pets", "default")


class FakeLog:
    """Answers from memory; `asked` are the `since` of each read."""

    def __init__(self, happened: Iterable[Event] = ()) -> None:
        self.found: dict[str, Document] = {}
        self.counted: dict[Predictor, Counts] = {}
        self.asked: list[float | None] = []
        self.compared = 0
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.logged(happened)

    def logged(self, happened: Iterable[Event], at: float | None = None) -> None:
        moment = rfc3339.written(at or time.time())
        for (_, name), document in documents_of(happened).items():
            self.found[name] = document | {"logged_at": moment}

    async def documents(self, since: float | None = None) -> AsyncIterator[tuple[str, Document]]:
        self.asked.append(since)
        if self.failures:
            self.failures -= 1
            raise OSError("no search server")
        for found in list(self.found.items()):
            yield found
        await self.gate.wait()

    async def size(self, since: float | None = None) -> int:
        return len(self.found)

    async def counts(self, answered_since: float = 0.0) -> dict[Predictor, Counts]:
        self.compared += 1
        return self.counted


class Replaying:
    """A replay of a fake log that runs every hundredth of a second."""

    def __init__(self, log: FakeLog, *, all_every: float = 3600.0) -> None:
        self.state = State()
        self.registry = CollectorRegistry()
        self.replay = Replay(
            cast(InferenceLog, log),
            self.state,
            self.registry,
            every=0.01,
            all_every=all_every,
            quiet=0.0,
        )

    @property
    def matrix(self) -> ConfusionMatrix:
        return self.state.boards[PETS].matrix

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"closedloop_{name}", labels)

    @property
    def healed(self) -> float | None:
        return self._of_pets("healed")

    @property
    def forgotten(self) -> float | None:
        return self._of_pets("forgotten")

    def _of_pets(self, what: str) -> float | None:
        labels = {
            "deployment_namespace": PETS.namespace,
            "deployment_name": PETS.deployment,
            "predictor_name": PETS.predictor,
        }
        return self.registry.get_sample_value(f"closedloop_rows_{what}_total", labels)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.replay.run())
        try:
            async with asyncio.timeout(60):
                yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def ready(self) -> None:
        while not self.replay.restored:
            await asyncio.sleep(0.001)


async def reads(log: FakeLog, more: int) -> None:
    """Wait until `more` reads have begun, and so the one before them has ended."""
    wanted = len(log.asked) + more
    while len(log.asked) < wanted:
        await asyncio.sleep(0.001)


async def test_is_ready_when_everything_was_read_and_not_before() -> None:
    log = FakeLog([answer("cat"), truth("cat")])
    log.gate.clear()
    replaying = Replaying(log)
    async with replaying.running():
        while not replaying.state.boards:
            await asyncio.sleep(0.001)
        assert "restoring" in (replaying.replay.why_not_ready() or "")
        log.gate.set()
        await replaying.ready()
        assert replaying.replay.why_not_ready() is None
    assert replaying.matrix.counts() == {("cat", "cat"): 1}


async def test_rows_that_the_log_lost_are_forgotten_and_counted() -> None:
    log = FakeLog([answer("cat"), truth("cat"), answer("dog", request_id="s")])
    replaying = Replaying(log, all_every=0.0)
    replaying.state.census = Census(0.0)
    async with replaying.running():
        await replaying.ready()
        assert replaying.forgotten == 0
        log.found = {name: one for name, one in log.found.items() if one["RequestId"] == "s"}
        while not replaying.forgotten:
            await asyncio.sleep(0.001)
    assert replaying.forgotten == 1
    assert [name for name, _ in replaying.state.boards[PETS].items()] == ["s"]


async def test_a_new_difference_from_the_log_has_all_of_it_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("closedloop.services.metrics_server.replay.OVERLAP_SECONDS", 0.0)
    log = FakeLog([answer("cat"), truth("cat")])  # whose counts say that there is nothing
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        await reads(log, 5)
    assert any(replaying.state.mismatches.values())
    assert log.asked.count(None) == 2


async def test_says_how_far_it_is() -> None:
    log = FakeLog([answer("cat", request_id=f"r-{i}") for i in range(PAGE)])
    log.gate.clear()
    replaying = Replaying(log)
    async with replaying.running():
        while f"{PAGE} of {PAGE} documents read" not in (replaying.replay.why_not_ready() or ""):
            await asyncio.sleep(0.001)


async def test_others_have_their_turn_while_the_log_is_read() -> None:
    replaying = Replaying(FakeLog([answer("cat", request_id=f"r-{i}") for i in range(PAGE)]))
    held = set()
    async with replaying.running():
        while not replaying.replay.restored:
            held.add(replaying.state.held)
            await asyncio.sleep(0)
    assert len(held) > 10


async def test_says_in_the_end_how_much_it_read() -> None:
    replaying = Replaying(FakeLog([answer("cat", request_id=f"r-{i}") for i in range(30)]))
    async with replaying.running():
        await replaying.ready()
    assert replaying.count("restore_documents", documents="read") == 30
    assert replaying.count("restore_documents", documents="there") == 30


async def test_tries_until_the_log_answers_and_says_why() -> None:
    log = FakeLog([answer("cat")])
    log.failures = 2
    replaying = Replaying(log)
    async with replaying.running():
        while "no search server" not in (replaying.replay.why_not_ready() or ""):
            await asyncio.sleep(0.001)
        await replaying.ready()
    assert replaying.count("resync_errors_total") == 2


async def test_events_that_come_during_the_restore_are_merged() -> None:
    log = FakeLog([answer("cat"), truth("dog", second=1)])
    log.gate.clear()
    replaying = Replaying(log)
    async with replaying.running():
        replaying.state.observe(observe(truth("cat", second=2)))
        while replaying.state.changes < 2:
            await asyncio.sleep(0.001)
        replaying.state.observe(observe(answer("bird", second=3)))
        log.gate.set()
        await replaying.ready()
    assert replaying.matrix.counts() == {("bird", "cat"): 1}


async def test_heals_what_delivery_lost_and_counts_it() -> None:
    log = FakeLog([answer("cat")])
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        assert replaying.healed == 0
        log.logged([answer("cat"), truth("cat")])
        await reads(log, 2)
        assert replaying.healed == 1
    assert replaying.matrix.counts() == {("cat", "cat"): 1}


async def test_reads_what_is_new_with_an_overlap_by_the_loggers_clock() -> None:
    log = FakeLog()
    log.logged([answer("cat")], at=1_000_000)
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        await reads(log, 1)
    assert log.asked[:2] == [None, 1_000_000 - 60]


async def test_a_clock_that_is_ahead_hides_nothing() -> None:
    log = FakeLog()
    log.logged([answer("cat")], at=time.time() + 3600)
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        await reads(log, 1)
    assert (log.asked[1] or 0) <= time.time() - 60


async def test_a_log_without_times_is_read_whole_every_time() -> None:
    log = FakeLog([answer("cat")])
    del log.found["r"]["logged_at"]
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        await reads(log, 2)
    assert log.asked[:3] == [None, None, None]


async def test_reads_everything_every_so_often() -> None:
    log = FakeLog([answer("cat")])
    async with Replaying(log, all_every=0.05).running():
        await reads(log, 2)
        while None not in log.asked[2:]:
            await asyncio.sleep(0.001)


class Cycle:
    """Something that only a garbage collection frees."""

    def __init__(self) -> None:
        self.itself = self


async def test_what_was_alive_during_a_resync_can_be_freed() -> None:
    log = FakeLog([answer("cat")])
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        cycle = Cycle()
        alive = weakref.ref(cycle)
        await reads(log, 2)
    del cycle
    gc.collect()
    assert alive() is None


async def test_a_full_resync_frees_what_was_alive_during_the_restore() -> None:
    log = FakeLog([answer("cat")])
    cycle = Cycle()
    alive = weakref.ref(cycle)
    replaying = Replaying(log, all_every=0.0)
    async with replaying.running():
        await replaying.ready()
        del cycle
        await reads(log, 2)
    assert alive() is None
    assert gc.get_freeze_count() > 0


async def test_a_read_that_fails_is_counted_and_forgets_nothing() -> None:
    log = FakeLog([answer("cat"), truth("cat")])
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        log.found.clear()
        log.failures = 3
        await reads(log, 5)
        assert replaying.count("resync_errors_total") == 3
        assert replaying.replay.why_not_ready() is None
    assert replaying.matrix.counts() == {("cat", "cat"): 1}


async def test_lag_grows_while_reads_fail() -> None:
    log = FakeLog([answer("cat")])
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        log.failures = 1_000_000
        while (replaying.count("resync_lag_seconds") or 0) < 0.2:
            await asyncio.sleep(0.001)
        log.failures = 0
        while (replaying.count("resync_lag_seconds") or 1) > 0.1:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("broken", [{}, {"Ce-Namespace": 1}, {"response": {"instance": 1}}])
async def test_a_document_that_cannot_be_read_stops_nothing(broken: Document) -> None:
    log = FakeLog()
    names = {"Ce-Namespace": "seldon", "Ce-Inferenceservicename": "pets", "Ce-Endpoint": "default"}
    log.found["broken"] = names | broken if broken else {}
    log.logged([answer("cat"), truth("cat")])
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
    assert (replaying.count("unreadable_documents_total") or 0) >= 1
    assert replaying.matrix.counts() == {("cat", "cat"): 1}


async def test_compares_with_the_log_once_for_each_change() -> None:
    log = FakeLog([answer("cat"), truth("cat")])
    replaying = Replaying(log)
    async with replaying.running():
        await replaying.ready()
        await reads(log, 4)
        assert (log.compared, replaying.state.mismatches) == (1, {PETS: 3})
        log.counted = {
            PETS: {("state", "scored"): 1, ("correct", "false"): 1, ("cell", "cat", "dog"): 1}
        }
        replaying.state.observe(observe(truth("dog", second=2)))
        while replaying.state.mismatches != {PETS: 0}:
            await asyncio.sleep(0.001)


async def test_does_not_compare_while_events_change_the_state() -> None:
    log = FakeLog([answer("cat")])
    replaying = Replaying(log)

    async def counts(answered_since: float = 0.0) -> dict[Predictor, Counts]:
        log.compared += 1
        replaying.state.observe(observe(answer("dog", second=log.compared)))
        return {}

    log.counts = counts  # type: ignore[method-assign]  # an event comes in between
    async with replaying.running():
        while log.compared < 3:
            await asyncio.sleep(0.001)
    assert replaying.state.mismatches == {}
