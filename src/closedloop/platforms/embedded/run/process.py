"""One operating system process: started so that it cannot outlive us, ended as a group."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from closedloop.machine import end_with_parent


class Guardian:
    """The process that cleans up after us if we are killed (see `guardian.py`)."""

    def __init__(self, stdin: asyncio.StreamWriter, process: asyncio.subprocess.Process) -> None:
        self._stdin = stdin
        self._process = process

    @classmethod
    async def start(cls) -> "Guardian":
        """Start it, in a session of its own so that no signal to ours reaches it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("guardian.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        assert process.stdin is not None
        return cls(process.stdin, process)

    def remember_folder(self, folder: Path) -> None:
        """Remove this folder as well."""
        self._write(f"={folder}\n")

    def started(self, group: int) -> None:
        self._write(f"+{group}\n")

    def ended(self, group: int) -> None:
        self._write(f"-{group}\n")

    async def stop(self) -> None:
        """Let it do its work now and wait for it."""
        self._stdin.close()
        await self._process.wait()

    def _write(self, line: str) -> None:
        # Lines are short and few: the pipe's own buffer holds them.
        with contextlib.suppress(OSError, RuntimeError):
            self._stdin.write(line.encode())


class Child:
    """A running process and its process group, whose id is the process's own.

    `output` is its standard output and error where they go to no log.
    """

    def __init__(self, process: asyncio.subprocess.Process, guardian: Guardian | None) -> None:
        self.pid = process.pid
        self.output = process.stdout
        self._process = process
        self._guardian = guardian

    async def wait(self) -> int:
        """The exit status, negative for a signal; the rest of its group is killed."""
        status = await self._process.wait()
        self.signal(signal.SIGKILL)
        if self._guardian:
            self._guardian.ended(self.pid)
        return status

    async def stop(self, grace: float) -> int:
        """SIGTERM to the process, `grace` seconds, SIGKILL to its group; the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


async def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    log: Path | None,
    cwd: Path | str = "/",
    guardian: Guardian | None = None,
) -> Child:
    """Start a process in a session of its own; it writes both its outputs to the end of `log`,
    or, without one, to where `Child.output` reads.

    It gets SIGTERM when we die. Must be called from the main thread, since
    the kernel's parent-death signal watches the thread that forked.
    Raises OSError when the program cannot be run.
    """
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    output = asyncio.subprocess.PIPE if log is None else os.open(log, appending, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )
    finally:
        if log is not None:
            os.close(output)
    if guardian:
        guardian.started(process.pid)
    return Child(process, guardian)


def environment(extra: Mapping[str, str], *, tmp: Path) -> dict[str, str]:
    """An environment from scratch: PATH, a UTF-8 locale, a short TMPDIR, and `extra`."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
