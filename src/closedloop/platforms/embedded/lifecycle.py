"""How a client finds the daemon of its folder, starts it and ends it."""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from closedloop import paths
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.state import DaemonState
from closedloop.platforms.protocol import PlatformError

_DAEMON = "closedloop.platforms.embedded.daemon"
_START = 30.0  # seconds until a daemon must answer
_STOP = 60.0  # seconds until it must have ended everything


class Lifecycle:
    """Of the daemon in one folder. `answers` asks one whether it is well.

    With `parent_pid` a daemon that this client starts ends with that process.
    """

    def __init__(self, answers: Callable[[DaemonState], bool], parent_pid: int | None) -> None:
        self.folder = paths.platform_folder()
        self._root = paths.manifests_folder().parent
        self._answers, self._parent_pid = answers, parent_pid

    def find(self) -> DaemonState | None:
        """The daemon, if it answers."""
        found = state.read(self.folder)
        return found if found is not None and self._answers(found) else None

    def there(self) -> DaemonState | None:
        """The daemon, or None. Raises `PlatformError` for one that is silent."""
        daemon = self.find()
        if daemon is None and state.held(self.folder):
            raise PlatformError(
                f"the platform in {self.folder} runs but does not answer, because it starts,"
                " ends or hangs: try again in a moment, or end it with `closedloop down`"
            )
        return daemon

    def start(self) -> DaemonState:
        """The daemon, started if there is none that answers. Raises `PlatformError`."""
        if (found := self.find()) is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise PlatformError(
                f"{self.folder} cannot be made: {error.strerror}:"
                " set CLOSEDLOOP_HOME to a folder that you may write to"
            ) from None
        pid = self._spawn()
        deadline = time.monotonic() + _START
        ended = False
        while time.monotonic() < deadline:
            if (found := self.find()) is not None:
                return found
            # Another client's daemon may hold the lock, and so will answer.
            if ended and not state.held(self.folder):
                break
            ended = ended or _reap(pid)
            time.sleep(0.02)
        raise PlatformError(f"the platform did not start: {self.last_words()}")

    def end(self, tell: Callable[[], object]) -> None:
        """End the daemon, by `tell` if it answers, and return when everything has ended.

        Raises `PlatformError` when it does not end.
        """
        daemon = self.find()
        if daemon is None:
            self._end_silent()
            self._clean_up()
            return
        try:
            # The process, and not a later one with its number.
            descriptor = os.pidfd_open(daemon.pid)
        except ProcessLookupError:
            return
        try:
            # Heard, or ending already: it ends either way.
            with contextlib.suppress(PlatformError):
                tell()
            if not select.select([descriptor], [], [], _STOP)[0]:
                raise PlatformError(
                    f"the platform's daemon {daemon.pid} still runs after {_STOP:g} s:"
                    f" see {self.folder / 'daemon.log'}"
                )
        finally:
            os.close(descriptor)
            _reap(daemon.pid)

    def has_ended(self) -> str:
        """The sentence about a daemon that ended; empty while one runs."""
        runs = state.read(self.folder) is not None and state.held(self.folder)
        return "" if runs else f"the platform ended: {self.last_words()}"

    def last_words(self) -> str:
        said = [line for line in logs.tail(self.folder / "daemon.log", 20).splitlines() if line]
        last = said[-1] if said else "it said nothing"
        return f"{last} (see {self.folder / 'daemon.log'})"

    def _spawn(self) -> int:
        log = self.folder / "daemon.log"
        logs.rotate(log, limit=1 << 20)
        argv = [sys.executable, "-m", _DAEMON]
        if self._parent_pid is not None:
            argv += ["--parent-pid", str(self._parent_pid)]
        env = {
            **os.environ,
            "CLOSEDLOOP_ROOT": str(self._root),
            "CLOSEDLOOP_HOME": str(self.folder.parent),
        }
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            sys.executable,
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def _end_silent(self) -> None:
        """End a daemon that holds the lock and does not answer: it starts, ends or hangs."""
        deadline = time.monotonic() + _STOP
        told = None
        while state.held(self.folder):
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"the platform's daemon{f' {told}' if told else ''} neither answers nor ends"
                    f" within {_STOP:g} s: see {self.folder / 'daemon.log'}, and kill it"
                )
            # While it starts it has no state file yet, and is told once it has.
            found = state.read(self.folder)
            if found is not None and found.pid != told and _is_daemon(found.pid):
                told = found.pid
                with contextlib.suppress(ProcessLookupError):
                    os.kill(told, signal.SIGTERM)
            time.sleep(0.05)
        if told is not None:
            while _is_daemon(told) and time.monotonic() < deadline:
                time.sleep(0.01)
            _reap(told)

    def _clean_up(self) -> None:
        """Remove the leftovers of a killed daemon."""
        # Imported here: the daemon's module brings all of its machinery with it.
        from closedloop.platforms.embedded.daemon import clean

        if not self.folder.is_dir():
            return
        held = state.lock(self.folder, patience=state.MOMENT)
        if held is not None:
            with held:
                clean(self.folder)


def _is_daemon(pid: int) -> bool:
    """Whether the process of this number runs and is a daemon: what a state file names may have
    ended long ago, and its number be another program's by now.
    """
    try:
        return _DAEMON.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _reap(pid: int) -> bool:
    """Take the exit status of a child of ours; says whether it has ended."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True
