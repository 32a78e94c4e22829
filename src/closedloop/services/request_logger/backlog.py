"""The events received and not yet answered: bounded, gathered into batches, given up in time."""

import asyncio
import time
from collections import deque
from contextlib import suppress

from closedloop.services.request_logger.entry import Answer, Entry

_MOST_LOOKS = 8  # for more events, before a batch is written


class Backlog:
    """First in, first out.

    `events` and `size` (estimated bytes of memory) bound everything that is
    not yet answered, whether it waits or is just being written.
    """

    def __init__(self, events: int, size: int) -> None:
        self._limits = events, size
        self._unanswered: dict[Entry, None] = {}  # in order of their deadlines
        self._waiting: deque[Entry] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._unanswered)

    def offer(self, entry: Entry) -> bool:
        """Take an entry, unless that would go past a bound; a lone entry always fits."""
        if self._closed:
            return False
        events, size = self._limits
        count = len(self._unanswered)
        if count and (count >= events or self._size + entry.size > size):
            return False
        self._size += entry.size
        self._unanswered[entry] = None
        self._waiting.append(entry)
        self._changed.set()
        return True

    @property
    def waiting(self) -> int:
        """How many entries wait to be gathered."""
        return len(self._waiting)

    async def gather(self, events: int, pause: float = 0) -> list[Entry]:
        """The next at most `events` entries; empty only when closed and drained.

        Events that came while the batch before was written are the next one, and with them those
        that are just coming: senders that were answered have their next ones on the way. With a
        `pause`, in seconds, a batch that is not full waits so long for more.
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
            await self._come(events)
            taken = [self._waiting.popleft() for _ in range(min(events, len(self._waiting)))]
            batch = [entry for entry in taken if not entry.settled]
        return batch

    def forget(self, entry: Entry) -> None:
        """Make place for another: this one is answered."""
        del self._unanswered[entry]
        self._size -= entry.size

    async def give_up_in_time(self, every: float = 0.1) -> None:
        """Answer entries past their deadline, for ever."""
        while True:
            await asyncio.sleep(every)
            now = time.monotonic()
            for entry in list(self._unanswered):
                if entry.deadline > now:
                    break
                entry.settle(Answer.UNAVAILABLE)

    def close(self) -> None:
        """Take no more; `gather` ends when every entry was gathered."""
        self._closed = True
        self._changed.set()

    async def _come(self, events: int) -> None:
        """Let those come that have arrived, as long as there are more of them."""
        for _ in range(_MOST_LOOKS):
            before = len(self._waiting)
            if before >= events:
                break
            await asyncio.sleep(0)  # this turn of the event loop reads the sockets,
            await asyncio.sleep(0)  # and the next one takes the events
            if len(self._waiting) == before:
                break

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
