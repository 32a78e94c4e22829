"""Ends the processes of a daemon when the daemon itself is gone, however it went.

A process's parent-death signal reaches that process alone, not its own
children, and a model server has several. The daemon writes a line for every
process group that it starts (`+PGID`) and that has ended (`-PGID`), and for
every folder to remove (`=PATH`), to this program's standard input. When that
closes, the groups get SIGTERM, two seconds, and SIGKILL.

Run by path with `python -I -S`: it starts in a few milliseconds and imports
nothing of ours.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

_GRACE = 2.0


def main() -> None:
    """Follow standard input to its end, then clean up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    folders: list[str] = []
    for line in sys.stdin:
        verb, value = line[0], line[1:].rstrip("\n")
        if verb == "+":
            groups.add(int(value))
        elif verb == "-":
            groups.discard(int(value))
        elif verb == "=":
            folders.append(value)
    _end(groups)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _end(groups: set[int]) -> None:
    deadline = time.monotonic() + _GRACE
    alive = {group for group in groups if _signal(group, signal.SIGTERM)}
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        alive = {group for group in alive if _signal(group, 0)}
    for group in alive:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main()
