"""Runs kind, helm and docker: no shell, a deadline, and one sentence when it goes wrong."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence

from closedloop.platforms.protocol import PlatformError

_LAST_LINES = 6
# An interrupted helm or kind gets this long to write down where it stopped.
_GRACE = 20.0

# Where each program is to be had.
_SOURCES = {
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "helm": "https://helm.sh/docs/intro/install/",
    "docker": "https://docs.docker.com/get-docker/",
}


class CommandFailed(PlatformError):
    """A program ended with a status other than 0; `stderr` is all that it said."""

    def __init__(self, message: str, *, stderr: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.stderr, self.status = stderr, status


def run(
    argv: Sequence[str],
    *,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Standard output of a program.

    `env` is added to the environment. Raises `CommandFailed`, and
    `PlatformError` for a program that is missing or takes too long.
    """
    if shutil.which(argv[0]) is None:
        where = _SOURCES.get(argv[0])
        raise PlatformError(
            f"{argv[0]} is not on PATH: install it" + (f" from {where}" if where else "")
        )
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
        # Ctrl-C reaches it through us and once, so that it can tidy up.
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        _, err = _end(process)
        raise PlatformError(
            f"`{text(argv)}` did not end within {timeout:g} s: {_last(err)}"
        ) from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        raise CommandFailed(
            f"`{text(argv)}` failed with status {process.returncode}: {_last(err or out)}",
            stderr=err,
            status=process.returncode,
        )
    return out


def text(argv: Sequence[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(argv)


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_GRACE)
    return "", ""


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "it said nothing"
