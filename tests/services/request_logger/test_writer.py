"""A batch is answered in time, whatever becomes of the one after it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from closedloop.log.operations import Key, Operation, Result
from closedloop.log.store import Found
from closedloop.services.request_logger.backlog import Backlog
from closedloop.services.request_logger.entry import Answer
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.settings import Settings
from closedloop.services.request_logger.store import Store
from closedloop.services.request_logger.writer import Writer
from tests.services.request_logger.running import entry_of, loop_of


class Stalling:
    """A store that takes one write, then stalls at the next `at`; "" for never."""

    def __init__(self, at: str = "") -> None:
        self._at = at
        self._wrote = False
        self.writing = asyncio.Event()
        self.sizes: list[int] = []  # of writes

    def portions(self, keys: Iterable[Key], is_read: Callable[[Key], bool]) -> Iterator[list[Key]]:
        yield list(keys)

    async def read(self, keys: Sequence[Key], fields: Sequence[str] = ()) -> Found:
        await self._stall("read")
        return Found(dict.fromkeys(keys), set())

    async def rolled_over(self, keys: Iterable[Key]) -> bool:
        return False

    async def begin(self, logs: Iterable[str]) -> None:
        pass

    async def without_room(self, absent: Collection[str], most: int) -> list[str]:
        return []

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        await self._stall("write")
        self.writing.set()
        self.sizes.append(len(operations))
        await asyncio.sleep(0.05)
        self._wrote = True
        return [Result(201)] * len(operations)

    async def _stall(self, step: str) -> None:
        if self._wrote and step == self._at:
            await asyncio.Event().wait()


@pytest.mark.parametrize("at", ["read", "write"])
async def test_a_written_batch_is_answered_while_the_next_one_stalls(at: str) -> None:
    backlog = Backlog(10, 1 << 20)
    entries = []
    for name in ("first", "second"):
        said = loop_of(name, "iris")[0]
        entries.append(entry_of(said))
        backlog.offer(entries[-1])
    metrics = Metrics(CollectorRegistry(), depth=lambda: 0)
    writer = Writer(cast(Store, Stalling(at)), metrics, Settings(batch_events=1))
    running = asyncio.create_task(writer.run(backlog))
    async with asyncio.timeout(60):
        assert await entries[0].answer is Answer.KEPT
    assert not entries[1].settled
    running.cancel()
    await asyncio.wait([running])


async def test_the_next_events_of_senders_that_are_answered_are_in_the_batch_that_waits() -> None:
    backlog, store = Backlog(100, 1 << 20), Stalling()
    metrics = Metrics(CollectorRegistry(), depth=lambda: 0)
    running = asyncio.create_task(Writer(cast(Store, store), metrics, Settings()).run(backlog))

    async def send(name: str) -> None:
        for i in range(3):
            entry = entry_of(loop_of(f"{name}-{i}", "iris")[0])
            backlog.offer(entry)
            assert await entry.answer is Answer.KEPT

    async with asyncio.timeout(60):
        early = asyncio.gather(*(send(f"early-{i}") for i in range(4)))
        await store.writing.wait()
        await asyncio.gather(early, *(send(f"late-{i}") for i in range(4)))
    assert store.sizes == [4, 8, 8, 4]
    backlog.close()
    await running
