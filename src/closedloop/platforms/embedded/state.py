"""The file by which clients find the daemon, and by which a new daemon finds leftovers."""

import fcntl
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from closedloop.machine import write_whole

# Seconds for which a client that looks whether there is a daemon may be in the way of the next.
MOMENT = 0.5


@dataclass(frozen=True, slots=True)
class DaemonState:
    """Where the daemon is: the `kubeconfig` of its API server, and its short `tmp`."""

    pid: int
    kubeconfig: str
    tmp: str


def write(folder: Path, state: DaemonState) -> None:
    """Put the state where clients find it, readable by this user only."""
    write_whole(folder / "daemon.json", json.dumps(asdict(state)), mode=0o600)


def read(folder: Path) -> DaemonState | None:
    """The state a daemon left, which may be dead by now; None when there is none to use."""
    try:
        members = json.loads((folder / "daemon.json").read_text(encoding="utf-8"))
        return DaemonState(int(members["pid"]), str(members["kubeconfig"]), str(members["tmp"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(folder: Path) -> None:
    (folder / "daemon.json").unlink(missing_ok=True)


def lock(folder: Path, patience: float = 0.0) -> IO[str] | None:
    """Become the one daemon of this folder: a lock that ends with us, or None if another has it
    for longer than `patience` seconds.
    """
    stream = (folder / "lock").open("a", encoding="utf-8")
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                stream.close()
                return None
            time.sleep(0.01)
        else:
            return stream


def held(folder: Path) -> bool:
    """Whether a daemon of this folder runs, answering or not."""
    try:
        # Shared: two clients that ask at once are no daemon to each other.
        with (folder / "lock").open(encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
