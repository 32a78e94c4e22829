"""Keeps one process running: start, probe, restart with backoff, stop."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from closedloop.loop.rfc3339 import now
from closedloop.machine import why_taken
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.run.probing import check
from closedloop.platforms.embedded.run.process import Child, Guardian, start

_log = structlog.get_logger(__name__)

State = Literal["starting", "ready", "restarting", "stopped"]

_ON_REQUEST = "restarted on request"


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds: a crash is answered after `first`, doubled each time up to `longest`;
    a process that was ready for `stable` starts over; one not ready by `deadline` is restarted.
    """

    first: float = 0.1
    longest: float = 10.0
    stable: float = 30.0
    deadline: float = 120.0

    def delay(self, crashes: int) -> float:
        """How long to wait after the `crashes`th crash in a row, in seconds."""
        return min(self.longest, self.first * 2.0 ** min(crashes - 1, 30))


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its exit status, negative for a signal, and its times (RFC 3339)."""

    status: int
    started: str
    finished: str


class Supervised:
    """One process of a pod, kept running from `start()` to `stop()`.

    `before` is called before each start, and may raise OSError. `on_change` is
    called whenever `state`, `restarts` or `reason` changed.
    `reason` says why the process is not ready, or how it last ended. `log` is
    that of the process that runs; the one before it is `logs.previous(log)`.
    """

    def __init__(
        self,
        process: Process,
        *,
        host: str,
        env: Mapping[str, str],
        log: Path,
        cwd: Path | str = "/",
        guardian: Guardian | None = None,
        pace: Pace | None = None,
        on_change: Callable[[], None] = lambda: None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.process = process
        self.log = log
        self.state: State = "stopped"
        self.restarts = 0
        self.reason = ""
        self.started = ""  # when the process that runs was started (RFC 3339)
        self.exit: Exit | None = None  # of the process before it
        self._host = host
        self._env = env
        self._cwd = cwd
        self._guardian = guardian
        self._pace = pace or Pace()
        self._on_change = on_change
        self._before = before
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready_at: float | None = None
        self._hurry = asyncio.Event()  # somebody does not want to wait for the next try
        self._ending = ""  # how the process last ended
        self._asked = False  # the running process ends because we asked it to

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Begin; does nothing when begun already."""
        if self._task is None:
            self._set("starting", "")
            self._task = asyncio.create_task(self._keep(), name=self.process.name)

    async def stop(self) -> None:
        """End the process and do not start it again."""
        task, self._task = self._task, None
        if task is not None:
            begun = time.monotonic()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            seconds = round(time.monotonic() - begun, 3)
            _log.info(
                "process stopped", process=self.process.name, host=self._host, seconds=seconds
            )
        self._set("stopped", "")

    def kill(self) -> None:
        """End the process and its whole group at once, for `stop` to find nothing to wait for."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    async def restart(self, *, kill: bool = False) -> None:
        """End the process, at once with its whole group if `kill`; it is started again by itself.

        Returns when the old process is gone; until the new one is ready the
        state is `restarting`. One that waits after a crash is started at once.
        """
        child = self._child
        if child is None:
            self._hurry.set()
            return
        self._asked = True
        self._set("restarting", _ON_REQUEST)
        if kill:
            child.signal(signal.SIGKILL)
            await child.wait()
        else:
            await child.stop(self.process.stop_grace)

    async def _keep(self) -> None:
        crashes = 0
        while True:
            why = await self._once()
            ready_for = time.monotonic() - self._ready_at if self._ready_at else 0.0
            asked, self._asked, self._ready_at = self._asked, False, None
            crashes = 0 if asked else 1 if ready_for >= self._pace.stable else crashes + 1
            self.restarts += 1
            self._ending = _ON_REQUEST if asked else why
            self._set("restarting", self._ending)
            if crashes:
                self._hurry.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), self._pace.delay(crashes))

    async def _once(self) -> str:
        """Run the process to its end; returns how it ended."""
        for port in sorted(self._ports()):
            if why_taken(self._host, port):
                return (
                    f"port {port} of {self._host} is taken by another program:"
                    " stop that, or have it listen on one address only"
                )
        if self.exit is not None:
            logs.keep_previous(self.log)
        try:
            self._before()
            child = self._child = await start(
                self.process.argv,
                self._env,
                log=self.log,
                cwd=self._cwd,
                guardian=self._guardian,
            )
        except OSError as error:
            return f"{self.process.argv[0]} cannot be run: {error.strerror or error}"
        self.started = now("microseconds")
        ended = asyncio.create_task(child.wait())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({ended, watching}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return _ending(ended.result())
            self._set("restarting", watching.result())
            return self.reason
        finally:
            # Whichever way we leave, cancelled included, nothing that was started stays.
            watching.cancel()
            await child.stop(self.process.stop_grace)
            self.exit = Exit(await ended, self.started, now("microseconds"))
            self._child = None

    def _ports(self) -> set[int]:
        probes = (self.process.readiness, self.process.liveness)
        return {*self.process.ports.values(), *(probe.port for probe in probes if probe)}

    async def _watch(self) -> str:
        """Probe the process until it should be restarted; returns why."""
        begun = time.monotonic()
        pause = 0.02
        while reason := await self._check(self.process.readiness):
            if time.monotonic() - begun > self._pace.deadline:
                return f"not ready within {self._pace.deadline:g} s: {reason}"
            if self._ending:
                self._seen("restarting", f"{self._ending}, now {reason}")
            else:
                self._seen("starting", reason)
            # A quick start is seen at once, a slow one is not slowed down.
            await asyncio.sleep(pause)
            pause = min(0.25, pause * 1.3)
        self._ready_at = time.monotonic()
        self._seen("ready", "")
        async with asyncio.TaskGroup() as group:
            readiness = group.create_task(self._watch_readiness())
            try:
                return await self._watch_liveness()
            finally:
                readiness.cancel()

    async def _watch_readiness(self) -> None:
        async for reason in self._failing(self.process.readiness):
            self._seen("starting" if reason else "ready", reason)

    async def _watch_liveness(self) -> str:
        async for reason in self._failing(self.process.liveness):
            if reason:
                return f"not alive: {reason}"
        raise AssertionError("probes do not end")

    async def _failing(self, probe: Probe | None) -> AsyncIterator[str]:
        """After every probe: why it counts as failed, or the empty string."""
        failures = 0
        while True:
            await asyncio.sleep(probe.period if probe else 3600)
            reason = await self._check(probe)
            failures = failures + 1 if reason else 0
            if not reason or (probe and failures >= probe.failures):
                yield reason

    async def _check(self, probe: Probe | None) -> str:
        return await check(probe, self._host) if probe else ""

    def _seen(self, state: State, reason: str) -> None:
        # The result of a probe of a process that is being ended does not count any more.
        if not self._asked:
            self._set(state, reason)

    def _set(self, state: State, reason: str) -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self._on_change()


def _ending(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"
