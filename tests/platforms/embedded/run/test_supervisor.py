import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.run.process import environment
from closedloop.platforms.embedded.run.supervisor import Pace, Supervised
from tests.platforms.embedded.run.processes import runs
from tests.ports import free_port

SERVE = """
import http.server, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if pathlib.Path(sys.argv[2] + self.path).exists() else 200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@asynccontextmanager
async def _supervised(
    tmp: Path,
    code: str,
    *args: str,
    pace: Pace = Pace(first=0.01, longest=0.05),  # noqa: B008 - frozen
    grace: float = 5,
    readiness: Probe | None = None,
    liveness: Probe | None = None,
) -> AsyncIterator[tuple[Supervised, Callable[[Callable[[], bool]], Awaitable[None]]]]:
    changed = asyncio.Event()
    one = Supervised(
        Process(
            "one",
            (sys.executable, "-c", code, *args),
            {},
            readiness=readiness,
            liveness=liveness,
            stop_grace=grace,
        ),
        host="127.0.0.1",
        env=environment({}, tmp=tmp),
        log=tmp / "one.log",
        pace=pace,
        on_change=changed.set,
    )

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await changed.wait()
                changed.clear()

    one.start()
    try:
        yield one, until
    finally:
        await one.stop()


def _gone(pid: int | None) -> bool:
    assert pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_process_becomes_ready_and_stops(tmp_path: Path) -> None:
    port = free_port()
    probe = Probe(port, "/ready")
    async with _supervised(tmp_path, SERVE, str(port), str(tmp_path), readiness=probe) as (
        one,
        until,
    ):
        await until(lambda: one.state == "ready")
        pid = one.pid
    assert one.state == "stopped"
    assert _gone(pid)


async def test_crash_is_restarted_with_backoff_and_shown(tmp_path: Path) -> None:
    code = "print('boom'); raise SystemExit(3)"
    probe = Probe(free_port())
    async with _supervised(tmp_path, code, readiness=probe) as (one, until):
        await until(lambda: one.restarts >= 3)
        assert one.state == "restarting"
        assert one.reason.startswith("exited with status 3")
    # Each process has a log of its own; that of the one before it is kept.
    assert logs.previous(tmp_path / "one.log").read_text() == "boom\n"


def test_backoff_doubles_up_to_a_limit() -> None:
    pace = Pace(first=0.1, longest=10)
    assert [pace.delay(n) for n in (1, 2, 3, 8, 500)] == [0.1, 0.2, 0.4, 10, 10]


async def test_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    changed = asyncio.Event()
    one = Supervised(
        Process("one", ("/nonexistent/program",), {}),
        host="127.0.0.1",
        env={},
        log=tmp_path / "log",
        on_change=lambda: changed.set() if one.restarts else None,
    )
    one.start()
    await asyncio.wait_for(changed.wait(), 60)
    await one.stop()
    assert one.restarts == 1


async def test_port_taken_by_another_program_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with _supervised(tmp_path, "", readiness=Probe(port)) as (one, until):
            await until(lambda: f"port {port} of 127.0.0.1 is taken" in one.reason)


async def test_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on'); time.sleep(60)"
    async with _supervised(tmp_path, code, grace=0.2) as (one, until):
        await until(lambda: one.state == "ready")
        while "on" not in (tmp_path / "one.log").read_text():
            await asyncio.sleep(0.01)
        pid = one.pid
    assert _gone(pid)


async def test_children_of_a_killed_process_go_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '60']);"
        "print(child.pid); time.sleep(60)"
    )
    async with _supervised(tmp_path, code) as (one, until):
        log = tmp_path / "one.log"
        while not log.exists() or not log.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
        child = int(log.read_text())
        await one.restart(kill=True)
        assert one.state == "restarting"
        await until(lambda: one.restarts == 1)
        while runs(child):
            await asyncio.sleep(0.01)


async def test_restart_is_no_crash(tmp_path: Path) -> None:
    port = free_port()
    pace = Pace(first=60)  # a crash would not be answered within the test
    async with _supervised(
        tmp_path, SERVE, str(port), str(tmp_path), readiness=Probe(port, "/ready"), pace=pace
    ) as (one, until):
        await until(lambda: one.state == "ready")
        first = one.pid
        await one.restart()
        await until(lambda: one.state == "ready" and one.restarts == 1)
        assert one.pid != first


async def test_lost_readiness_is_seen_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    probe = Probe(port, "/ready", period=0.05, failures=1)
    async with _supervised(tmp_path, SERVE, str(port), str(tmp_path), readiness=probe) as (
        one,
        until,
    ):
        await until(lambda: one.state == "ready")
        (tmp_path / "ready").touch()
        await until(lambda: one.state == "starting" and ": 503" in one.reason)
        (tmp_path / "ready").unlink()
        await until(lambda: one.state == "ready")
        assert one.restarts == 0


async def test_process_that_is_not_alive_is_restarted(tmp_path: Path) -> None:
    port = free_port()
    live = Probe(port, "/live", period=0.05, timeout=60, failures=2)
    async with _supervised(
        tmp_path, SERVE, str(port), str(tmp_path), readiness=Probe(port), liveness=live
    ) as (one, until):
        await until(lambda: one.state == "ready")
        (tmp_path / "live").touch()
        await until(lambda: one.state == "restarting" and one.reason.startswith("not alive"))
        (tmp_path / "live").unlink()
        await until(lambda: one.state == "ready")
        assert one.restarts == 1


async def test_process_that_is_never_ready_is_restarted_at_its_deadline(tmp_path: Path) -> None:
    pace = Pace(first=0.01, deadline=0.1)
    async with _supervised(
        tmp_path, "import time; time.sleep(60)", readiness=Probe(free_port()), pace=pace
    ) as (one, until):
        await until(lambda: one.restarts == 1)
        assert one.reason.startswith("not ready within 0.1 s")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_signal_that_ended_a_process_is_named(tmp_path: Path, number: int) -> None:
    code = f"import os; os.kill(os.getpid(), {int(number)})"
    async with _supervised(tmp_path, code, readiness=Probe(free_port())) as (one, until):
        await until(lambda: one.reason.startswith(f"ended by {signal.Signals(number).name}"))
