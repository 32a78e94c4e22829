"""Changes, for which the daemon's loops and its waiting clients wait."""

import asyncio


class Changes:
    """Counts changes; after `n` of them one can wait for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def mark(self) -> None:
        """Say that something changed."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, seen: int) -> int:
        """Wait until there are more than `seen` changes; returns how many there are."""
        while self.count <= seen:
            await self._next.wait()
        return self.count
