"""The events received and not yet answered: bounded, gathered into batches, given up in time."""

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial

from closedloop.services.request_logger.entry import Answer, Entry


class Backlog:
    """First in, first out.

    `events` and `size` (estimated bytes of memory) bound everything that is
    not yet answered, whether it waits or is just being written.
    """

    def __init__(self, events: int, size: int) -> None:
        self._limits = events, size
        # In order of their deadlines, and without the entries: an answered one is not kept.
        self._unanswered: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        self._waiting: deque[Entry] = deque()
        self._count = 0
        self._size = 0
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def offer(self, entry: Entry) -> bool:
        """Take an entry, unless that would go past a bound; a lone entry always fits."""
        if self._closed:
            return False
        events, size = self._limits
        if self._count and (self._count >= events or self._size + entry.size > size):
            return False
        self._count += 1
        self._size += entry.size
        entry.answer.add_done_callback(partial(self._forget, entry.size))
        self._unanswered.append((entry.deadline, entry.answer))
        self._waiting.append(entry)
        self._changed.set()
        return True

    def __bool__(self) -> bool:
        """Whether an entry waits to be gathered."""
        return bool(self._waiting)

    async def gather(self, events: int, pause: float = 0) -> list[Entry]:
        """The next at most `events` entries; empty only when closed and drained.

        Events that came while the batch before was written are the next one. With a `pause`, in
        seconds, a batch that is not full waits so long for more.
        """
        batch: list[Entry] = []
        while not batch:
            while not self._waiting:
                if self._closed:
                    return []
                await self._change()
            if pause:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        while len(self._waiting) < events and not self._closed:
                            await self._change()
            taken = [self._waiting.popleft() for _ in range(min(events, len(self._waiting)))]
            batch = [entry for entry in taken if not entry.settled]
        return batch

    async def give_up_in_time(self, every: float = 0.1) -> None:
        """Answer entries past their deadline, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every)
            while self._unanswered:
                deadline, answer = self._unanswered[0]
                if not answer.done():
                    if deadline > loop.time():
                        break
                    answer.set_result(Answer.UNAVAILABLE)
                self._unanswered.popleft()

    def close(self) -> None:
        """Take no more; `gather` ends when every entry was gathered."""
        self._closed = True
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _forget(self, size: int, _: asyncio.Future[Answer]) -> None:
        self._count -= 1
        self._size -= size
