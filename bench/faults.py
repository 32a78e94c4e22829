"""Faults of a running platform: a part killed, one that hangs, a full disk, a clock that is wrong.

Each is a context: the fault is there inside, and undone behind it.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.end_to_end.loop import Loop

_LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"


@contextlib.contextmanager
def killed(loop: Loop, part: str) -> Iterator[None]:
    """`kill -9` of a part; afterwards it runs again, and everything is ready."""
    old = loop.kill(part)
    yield
    loop.recovered(part, old)


@contextlib.contextmanager
def hanging(loop: Loop, part: str) -> Iterator[None]:
    """A part that takes connections and answers none, with all it knew when it goes on."""
    pid = loop.pid(part)
    assert pid, f"{part} does not run"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Every free byte of the file system of `folder` is taken."""
    filler = folder / "filler"
    try:
        with filler.open("wb") as file:
            free = os.statvfs(folder)
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            with contextlib.suppress(OSError):  # and what became free meanwhile
                while True:
                    os.write(file.fileno(), bytes(4096))
        yield
    finally:
        filler.unlink()


class Clock:
    """The clock of processes with its `environment`, by libfaketime; monotonic time goes on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._set(0)

    @staticmethod
    def library() -> str:
        """The library's path, empty where it is not installed (Debian's package libfaketime)."""
        return next((str(path) for path in Path("/").glob(_LIBRARIES[1:])), "")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": self.library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    @contextlib.contextmanager
    def stepped(self, seconds: int) -> Iterator[None]:
        """The clock is so many seconds ahead, and steps back afterwards."""
        self._set(seconds)
        try:
            yield
        finally:
            self._set(0)

    def _set(self, seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)
