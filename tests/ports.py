"""Ports for servers that a test starts in other processes, kills, and starts again."""

import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle

from closedloop.machine import why_taken

# Below those that the kernel gives to outgoing connections and to whoever binds port 0: while
# nobody listens at one of those, it may become somebody else's.
_FIRST, _BLOCK, _BLOCKS = 10_000, 100, 90
# Not an address of a platform. Here a process holds the block that is its own.
_HELD = "127.1.0.2"


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens, given to no other test of this machine."""
    return next(port for port in _mine() if not why_taken("127.0.0.1", port))


@cache
def _mine() -> Iterator[int]:
    for first in range(_FIRST, _FIRST + _BLOCK * _BLOCKS, _BLOCK):
        hold = socket.socket()
        try:
            hold.bind((_HELD, first))
        except OSError:
            hold.close()
            continue
        _holds.append(hold)
        # In turn, so that a port rests before it is given again.
        return cycle(range(first, first + _BLOCK))
    raise OSError(f"{_BLOCKS} processes on this machine run tests: end some")


_holds: list[socket.socket] = []
