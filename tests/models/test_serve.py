import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from closedloop.notebook.waiting import until
from tests.models.wrapper import (
    FLOWERS,
    IRIS,
    Wrapper,
    environment,
    free_ports,
    wait_until_up,
    wrapper,
)

pytestmark = pytest.mark.embedded


def _marked(mark: str) -> list[int]:
    """The processes that were started with this mark in their environment and still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue  # ended while we looked
    return found


def _listeners(port: int) -> set[str]:
    """The local addresses, in hexadecimal, on which somebody listens at this port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {f[1].split(":")[0] for f in fields if f[3] == "0A" and f[1].endswith(f":{port:04X}")}


def _port(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


def test_it_listens_on_its_host_only_warns_of_nothing_and_ends_at_sigterm(
    model_python: Path, tmp_path: Path
) -> None:
    mark, log = str(uuid4()), tmp_path / "log"
    # Too long for the wrapper's sockets, and with blanks.
    long = tmp_path / ("a b " * 20) / ("c" * 60)
    long.mkdir(parents=True)
    with (
        log.open("w") as file,
        wrapper(model_python, stderr=file, MARK=mark, TMPDIR=str(long)) as running,
    ):
        loopback = {"0100007F"}
        assert _listeners(_port(running.url)) == loopback
        assert _listeners(_port(running.metrics_url)) == loopback
        assert len(_marked(mark)) == 5
        requests.get(f"{running.url}/health/status", timeout=60)
        assert running.predict(FLOWERS[0]).json()["data"]["ndarray"] == [0]
        running.process.terminate()
        assert running.process.wait(60) == 0
    assert _marked(mark) == []
    assert "Warning" not in log.read_text()


def test_nothing_outlives_it_when_it_is_killed(model_python: Path) -> None:
    mark = str(uuid4())
    with wrapper(model_python, MARK=mark) as running:
        running.process.kill()
        until(lambda: _marked(mark), lambda left: not left, what="no process left", timeout=60)


def test_nothing_outlives_the_process_that_started_it(model_python: Path) -> None:
    mark = str(uuid4())
    http, metrics = free_ports(2)
    start = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    command: list[str | Path] = [
        sys.executable,
        "-c",
        start,
        model_python,
        "-m",
        "closedloop.models.serve",
        IRIS,
    ]
    parent = subprocess.Popen(command, env=environment(http, metrics, MARK=mark))
    urls = f"http://127.0.0.1:{http}", f"http://127.0.0.1:{metrics}/prometheus"
    try:
        wait_until_up(Wrapper(*urls, parent))
    finally:
        parent.kill()
        parent.wait()
    until(lambda: _marked(mark), lambda left: not left, what="no process left", timeout=60)


def test_it_does_not_go_on_without_its_metrics(model_python: Path) -> None:
    mark = str(uuid4())
    with wrapper(model_python, MARK=mark) as running:
        (server,) = [
            pid for pid in _children(running.process.pid) if _holds(pid, running.metrics_url)
        ]
        os.kill(server, signal.SIGTERM)
        running.process.wait(60)
    assert _marked(mark) == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _holds(pid: int, url: str) -> bool:
    """Whether a process has the listening socket of this URL open."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{_port(url):04X}"
    inodes = {f"socket:[{f[9]}]" for f in lines if f[3] == "0A" and f[1].endswith(port)}
    return any(str(fd.readlink()) in inodes for fd in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_that_is_taken_is_one_sentence(model_python: Path, which: int) -> None:
    ports = free_ports(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[which]))
        taken.listen()
        ended = subprocess.run(
            [model_python, "-m", "closedloop.models.serve", IRIS],
            env=environment(*ports),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"cannot listen on 127.0.0.1:{ports[which]}: ")
    assert ended.stderr.count("\n") == 1


def test_a_model_that_is_not_there_is_said(model_python: Path) -> None:
    ended = subprocess.run(
        [model_python, "-m", "closedloop.models.serve", IRIS],
        env=environment(
            *free_ports(2),
            PREDICTIVE_UNIT_PARAMETERS='[{"name":"model_name","value":"no.joblib","type":"STRING"}]',
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "model_name is 'no.joblib'" in ended.stderr.splitlines()[-1]
