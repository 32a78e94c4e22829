"""The log of each part: one file and the one before it, so that it stays bounded."""

import contextlib
import os
import shutil
from collections import deque
from pathlib import Path

LIMIT = 8 * 1024 * 1024  # bytes of one file


def rotate(log: Path, limit: int = LIMIT) -> bool:
    """Move the content of `log` to `<log>.1` if it is over `limit` bytes.

    The file is emptied in place, because the process that appends to it keeps
    it open; a line written in between may be lost.
    """
    try:
        if log.stat().st_size <= limit:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(log, log.with_name(log.name + ".1"))
    os.truncate(log, 0)
    return True


def previous(log: Path) -> Path:
    """Where the log of the process before this one is kept."""
    return log.with_name(f"{log.stem}.previous.log")


def keep_previous(log: Path) -> None:
    """Begin a log anew, as for a process that is started again."""
    with contextlib.suppress(FileNotFoundError):
        log.replace(previous(log))
    log.with_name(log.name + ".1").unlink(missing_ok=True)


def remove(log: Path) -> None:
    """Remove a log, with those that came before it."""
    for file in (log, log.with_name(log.name + ".1"), previous(log)):
        file.unlink(missing_ok=True)


def tail(log: Path, lines: int) -> str:
    """The last `lines` lines, of the file and those before it; empty when there is none."""
    if lines <= 0:
        return ""
    last: deque[str] = deque(maxlen=lines)
    for file in (previous(log), log.with_name(log.name + ".1"), log):
        try:
            with file.open(encoding="utf-8", errors="replace") as stream:
                last.extend(line.rstrip("\n") for line in stream)
        except FileNotFoundError:
            continue
    return "\n".join(last)
