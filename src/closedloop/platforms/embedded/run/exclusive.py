"""One process at a time, where several may prepare the same folder."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

_LOOK_AGAIN = 0.1  # seconds until a lock that another process has is tried again


@asynccontextmanager
async def exclusive(path: Path, waits: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Hold the lock file `path`; `waits` is called once if another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        while not _take(file):
            if waits:
                waits()
            waits = None
            # Not in flock itself, which no interruption would reach.
            await asyncio.sleep(_LOOK_AGAIN)
        yield


def _take(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
