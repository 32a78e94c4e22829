"""The machine that a process runs on: files written whole, ports, and the death of a parent.

The standard library only: it also runs inside the model image.
"""

import ctypes
import os
import signal
import socket
import sys
import uuid
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec must not load libraries.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def write_whole(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write a file aside and rename it: a reader finds the content before, or all of this.

    Text is written as UTF-8. The umask is taken off `mode`, as `open` does. Raises OSError, and
    then nothing is left beside the file, which is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def why_taken(host: str, port: int) -> str:
    """The reason why no server can listen at this address and port, empty where one can.

    Another socket listens there, or at this port of all addresses, or the address is not ours.
    """
    with socket.socket() as probe:
        # As servers do: the closing connections of a predecessor are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def end_with_parent(parent: int | None = None) -> None:
    """Have Linux send this process SIGTERM when the thread that started it is gone.

    Called in the child: between fork and exec with the id of the `parent`, of which the child of
    one that died meanwhile ends at once. The first process of a container has no parent to follow.
    """
    if _LIBC is not None and os.getpid() != 1:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)
