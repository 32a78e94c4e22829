import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from closedloop.platforms.embedded.run.process import Guardian, environment, start
from tests.platforms.embedded.run.processes import runs

# A daemon with one child, which has a child of its own that ignores SIGTERM.
DAEMON = """
import asyncio, os, sys
from pathlib import Path
from closedloop.platforms.embedded.run.process import (Guardian, start)
GRANDCHILD = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
GRANDCHILD += "time.sleep(60)"
CHILD = f'''
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {GRANDCHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
'''
async def main():
    guardian = await Guardian.start()
    guardian.remember_folder(Path(sys.argv[2]))
    log = Path(sys.argv[1])
    child = await start([sys.executable, "-c", CHILD], dict(os.environ), log=log, guardian=guardian)
    while not log.read_text():
        await asyncio.sleep(0.01)
    print(child.pid, log.read_text(), flush=True)
    await child.wait()
asyncio.run(main())
"""


def _await_end(*pids: int) -> None:
    deadline = time.monotonic() + 60
    while any(map(runs, pids)):
        assert time.monotonic() < deadline, f"{pids} still run"
        time.sleep(0.02)


def test_kill_of_the_daemon_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "short lived"
    folder.mkdir()
    log = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(log), str(folder)], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout
        child, grandchild = map(int, daemon.stdout.readline().split())
        assert runs(grandchild)
        daemon.send_signal(signal.SIGKILL)
    _await_end(child, grandchild)
    while folder.exists():
        time.sleep(0.02)


async def test_output_goes_to_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    child = await start([sys.executable, "-c", code], {}, log=log)
    assert await child.wait() == 0
    assert log.read_text() == "before\nout\nerr\n"


async def test_program_that_cannot_be_run_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await start([str(tmp_path / "absent")], {}, log=tmp_path / "log")


async def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    child = await start(["/bin/sh", "-c", "sleep 60 & wait"], {}, log=tmp_path / "log")
    assert os.getpgid(child.pid) == child.pid
    await child.stop(5)
    while _group_exists(child.pid):
        await asyncio.sleep(0.01)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


async def test_guardian_leaves_alone_what_had_ended(tmp_path: Path) -> None:
    guardian = await Guardian.start()
    other = await start(["/bin/sleep", "60"], {}, log=tmp_path / "log", guardian=guardian)
    guardian.ended(other.pid)
    await guardian.stop()
    assert runs(other.pid)
    await other.stop(5)


def test_environment_has_nothing_of_ours_but_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    env = environment({"PORT": "1"}, tmp=tmp_path)
    assert env["PORT"] == "1"
    assert env["TMPDIR"] == str(tmp_path)
    assert "SECRET_TOKEN" not in env
