"""The daemon of a platform: how it starts, is found, and ends with everything that it started."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from closedloop.notebook.waiting import until
from closedloop.paths import checkout_root
from closedloop.platforms.client.api import Api
from closedloop.platforms.embedded import client, lifecycle, state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.protocol import PlatformError
from tests.platforms import echo
from tests.platforms.embedded.run.processes import descendants, runs

pytestmark = pytest.mark.embedded


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOSEDLOOP_ROOT", str(checkout_root()))
    monkeypatch.setenv("CLOSEDLOOP_HOME", str(tmp_path / "a home"))
    monkeypatch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL", raising=False)
    return tmp_path / "a home"


@pytest.fixture
def platform(home: Path) -> Iterator[EmbeddedPlatform]:
    one = EmbeddedPlatform(parent_pid=os.getpid())
    yield one
    one.down()


def _pid(home: Path) -> int:
    found = state.read(home / "platform")
    assert found
    return found.pid


def _available(platform: EmbeddedPlatform, name: str = "echo") -> dict[str, Any]:
    return platform.wait("Deployment", name, condition="Available", timeout=60)


def _leftovers(home: Path) -> set[str]:
    return {path.name for path in (home / "platform").iterdir()} - {"logs", "daemon.log", "lock"}


def test_down_leaves_nothing_and_up_works_again(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(echo.deployment(), echo.service())
    _available(platform)
    found = state.read(home / "platform")
    assert found
    everything = descendants(found.pid)
    url = platform.url("default/echo")
    platform.down()
    assert not any(map(runs, everything))
    assert not Path(found.tmp).exists()
    assert _leftovers(home) == set()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=60)
    platform.down()  # twice is no error
    assert platform.status() == []
    with pytest.raises(PlatformError, match="no platform runs here"):
        platform.url("default/echo")
    assert platform.delete(echo.service()) == ["Service/echo absent"]
    assert platform.apply(echo.service()) == ["Service/echo created"]


def test_down_waits_for_no_client(
    platform: EmbeddedPlatform, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for one that waits nor for one that installs."""
    platform.apply(echo.service())
    asked = threading.Event()
    real = Api.watch

    def watch(self: Api, *arguments: Any, **options: Any) -> Any:
        asked.set()
        return real(self, *arguments, **options)

    monkeypatch.setattr(Api, "watch", watch)
    (home / "parts").mkdir()
    with (home / "parts" / ".models.lock").open("w") as lock, ThreadPoolExecutor(2) as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another process that prepares the models
        waiting = threads.submit(platform.wait, "Deployment", "none", condition="Available")
        installing = threads.submit(platform.install, "seldon-core")
        log = home / "platform" / "daemon.log"
        until(
            lambda: "waiting for another process" in log.read_text(),
            what="the installation",
            timeout=60,
        )
        assert asked.wait(60)
        platform.down()
        for each in (waiting, installing):
            with pytest.raises(PlatformError, match=r"^the platform ended: "):
                each.result()


def _await_end(pids: set[int]) -> None:
    until(lambda: not any(map(runs, pids)), what="every process to end", timeout=60, every=0.05)


@pytest.mark.chaos
def test_killed_daemon_takes_everything_with_it(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(echo.deployment(), echo.service())
    _available(platform)
    found = state.read(home / "platform")
    assert found
    everything = descendants(found.pid)
    os.kill(found.pid, signal.SIGKILL)
    _await_end(everything)
    until(lambda: not Path(found.tmp).exists(), what="the temporary folder to go", timeout=60)
    assert platform.status() == []
    assert platform.apply(echo.service()) == ["Service/echo created"]
    assert _pid(home) != found.pid


def test_daemon_that_still_starts_is_ended_by_down(home: Path) -> None:
    starting = subprocess.Popen([sys.executable, "-m", "closedloop.platforms.embedded.daemon"])
    try:
        until(
            lambda: state.held(home / "platform"),
            what="the daemon to begin",
            timeout=60,
            every=0.01,
        )
        EmbeddedPlatform().down()
        assert starting.wait(60) == 0
    finally:
        starting.kill()
        starting.wait()
    assert _leftovers(home) == set()


def test_daemon_that_hangs_is_told_from_none(
    platform: EmbeddedPlatform, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.apply(echo.service())
    pid = _pid(home)
    monkeypatch.setattr(client, "_CONNECT", 0.3)
    monkeypatch.setattr(lifecycle, "_STOP", 0.5)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(PlatformError, match=r"runs but does not answer.* try again"):
            platform.status()
        with pytest.raises(PlatformError, match=rf"daemon {pid} neither answers nor ends"):
            platform.down()
    finally:
        os.kill(pid, signal.SIGCONT)
    _await_end({pid})  # as it was told to


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.nightly)]
)
def test_signal_ends_everything(
    platform: EmbeddedPlatform, home: Path, number: signal.Signals
) -> None:
    platform.apply(echo.deployment(), echo.service())
    pid = _pid(home)
    everything = descendants(pid)
    os.kill(pid, number)
    _await_end(everything)
    assert _leftovers(home) == set()


def test_platform_ends_with_the_process_that_owns_it(home: Path) -> None:
    owner = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    one = EmbeddedPlatform(parent_pid=owner)
    one.apply(echo.service())
    everything = descendants(_pid(home))
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    _await_end(everything)
    one.down()


@pytest.mark.nightly
def test_clients_that_start_at_once_share_one_platform(
    platform: EmbeddedPlatform, home: Path
) -> None:
    def apply(number: int) -> int:
        EmbeddedPlatform(parent_pid=os.getpid()).apply(echo.service(f"echo-{number}"))
        return _pid(home)

    with ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(apply, range(4)))
    assert len(pids) == 1
    made = {f"echo-{number}" for number in range(4)}
    assert made <= {str(one["metadata"]["name"]) for one in platform.objects("Service")}  # type: ignore[index]  # plain JSON


def test_elasticsearch_of_ones_own(
    platform: EmbeddedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "b"}}
    with pytest.raises(PlatformError, match=r"there is no kind Broker .* install knative-eventing"):
        platform.apply(broker)
    monkeypatch.setenv("CLOSEDLOOP_ELASTICSEARCH_URL", "http://me:secret@127.0.0.1:1")
    with pytest.raises(
        PlatformError, match=r"URL=http://127\.0\.0\.1:1 does not answer"
    ) as failure:
        platform.install("elasticsearch")
    assert "secret" not in str(failure.value)
    answer = '{"version": {"number": "9.5.2"}}'
    platform.apply(echo.deployment(answer=answer), echo.service())
    _available(platform)
    theirs = platform.url("default/echo")
    monkeypatch.setenv("CLOSEDLOOP_ELASTICSEARCH_URL", theirs + "/")
    (row,) = platform.install("elasticsearch")
    assert (row.version, row.state, row.url) == ("9.5.2", "ready", theirs)
    assert platform.url("seldon-logs/elasticsearch") == theirs
    said = platform.logs("elasticsearch")
    assert said.startswith(f"seldon-logs/elasticsearch is your own at {theirs}, by ")
    assert platform.install("elasticsearch") == [row]
    monkeypatch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL")
    assert platform.install("elasticsearch") == [row]
    monkeypatch.setenv("CLOSEDLOOP_ELASTICSEARCH_URL", "http://127.0.0.1:1")
    with pytest.raises(PlatformError, match=rf"is at {theirs} already"):
        platform.install("elasticsearch")
