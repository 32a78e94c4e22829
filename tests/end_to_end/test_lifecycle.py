"""From `up` to `down`, and what a killed daemon leaves: nothing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import elasticsearch
import pytest
import requests
from elasticsearch.helpers import bulk

from closedloop.notebook.waiting import until
from closedloop.paths import checkout_root
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.parts import named
from tests.end_to_end.loop import FLOWERS, PATIENCE, Loop
from tests.end_to_end.unprivileged import unprivileged
from tests.platforms.embedded.run.processes import descendants, listening, runs

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


class _Home:
    """A folder with a platform of its own, handled by the command line as a user would."""

    def __init__(self, folder: Path, as_user: tuple[str, ...] = ()) -> None:
        self.folder, self._as_user = folder, as_user

    def start(self, *words: str) -> "subprocess.Popen[str]":
        program = Path(sys.executable).with_name("closedloop")
        env = {
            **{name: value for name, value in os.environ.items() if "CLOSEDLOOP" not in name},
            "CLOSEDLOOP_ROOT": str(checkout_root()),
            "CLOSEDLOOP_HOME": str(self.folder),
            "HOME": str(self.folder),
            "COLUMNS": "200",
        }
        return subprocess.Popen(
            [*self._as_user, str(program), *words],
            env=env,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        with self.start(*words) as process:
            said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def daemon(self) -> state.DaemonState:
        found = state.read(self.folder / "platform")
        assert found
        return found


class _Traces:
    """The processes, addresses and temporary folder of a platform while it runs."""

    def __init__(self, home: _Home) -> None:
        daemon = home.daemon()
        self.processes = descendants(daemon.pid)
        self.addresses = listening(self.processes)
        self.folder = Path(daemon.tmp)

    def are_gone(self) -> None:
        until(
            lambda: [pid for pid in self.processes if runs(pid)],
            lambda left: not left,
            what="every process to end",
            timeout=PATIENCE,
        )
        until(lambda: not self.folder.exists(), what=f"{self.folder} to go", timeout=PATIENCE)
        # Ports of 127.0.0.1 may be others' by now; nobody else has an address of the network.
        mine = [one.split(":") for one in self.addresses if not one.startswith("127.0.0.1:")]
        assert mine
        for host, port in mine:
            with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port))):
                pass


@pytest.fixture
def home(tmp_path: Path, shared_parts: Path) -> Iterator[_Home]:
    one = _Home(tmp_path / "a home with spaces")
    one.folder.mkdir()
    (one.folder / "parts").symlink_to(shared_parts)
    yield one
    one.run("down")


def test_up_twice_at_once_and_again_is_one_platform_and_nothing_is_left(home: _Home) -> None:
    both = [home.start("up"), home.start("up")]
    for process in both:
        with process:
            said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    daemon = home.daemon()
    before = descendants(daemon.pid)
    home.run("up")
    assert home.daemon() == daemon
    assert descendants(daemon.pid) == before
    status = home.run("status")
    for name in ("envoy", "nats", "broker", "elasticsearch", "prometheus", "alertmanager"):
        assert any(one.path in status for one in named(name)), name
    assert "restarting" not in status

    traces = _Traces(home)
    home.run("down")
    traces.are_gone()
    assert state.read(home.folder / "platform") is None
    left = {path.name for path in (home.folder / "platform").iterdir()}
    assert left <= {"logs", "daemon.log", "lock"}
    home.run("down")  # nothing to do is no error
    with home.start("status") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Nothing is running" in said


@pytest.mark.nightly
def test_a_killed_daemon_leaves_nothing_and_the_next_one_starts_anew(home: _Home) -> None:
    home.run("up")
    traces = _Traces(home)
    os.kill(home.daemon().pid, signal.SIGKILL)
    traces.are_gone()
    home.run("up")
    assert not _Traces(home).processes & traces.processes


@pytest.mark.nightly
def test_the_live_page_takes_with_it_what_it_started(home: _Home) -> None:
    with home.start("live", "--no-browser") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            until(lambda: state.read(home.folder / "platform"), what="a platform", timeout=PATIENCE)
            daemon = home.daemon().pid
            # In the middle of its set-up: the page is there before the parts are.
            until(lambda: len(descendants(daemon)) > 2, what="parts", timeout=PATIENCE)
            page = requests.get(url, timeout=60)
            traces = _Traces(home)
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=300)
    assert page.ok
    assert (process.returncode, "ending what was started" in said) == (0, True), said
    traces.are_gone()


@pytest.mark.nightly
@pytest.mark.skipif(os.geteuid() != 0, reason="the whole folder already runs without privileges")
def test_works_without_privileges(shared_parts: Path) -> None:
    as_user, owner = unprivileged(shared_parts)
    folder = Path(tempfile.mkdtemp(prefix="closedloop home "))
    try:
        os.chown(folder, owner, owner)
        (folder / "parts").symlink_to(shared_parts)
        home = _Home(folder, as_user)
        home.run("up")
        traces = _Traces(home)
        assert _capabilities(home.daemon().pid) == 0
        assert _answers(folder)
        assert "seldon/sklearn" in home.run("status")
        home.run("down")
        traces.are_gone()
    finally:
        shutil.rmtree(folder)


def _answers(folder: Path) -> bool:
    """Whether a model on the platform of this folder answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDLOOP_HOME", str(folder))
        platform = EmbeddedPlatform()
    platform.apply("models/sklearn.yaml")
    platform.wait("SeldonDeployment", "sklearn", "seldon", timeout=300)
    gateway = platform.url("istio-system/istio-ingressgateway")
    answer = requests.post(
        f"{gateway}/seldon/seldon/sklearn/api/v1.0/predictions",
        json={"data": {"ndarray": FLOWERS}},
        timeout=60,
    )
    return answer.status_code == 200


def test_nothing_listens_beyond_loopback(loop: Loop) -> None:
    addresses = listening(descendants(loop.daemon))
    assert len(addresses) > 20
    assert {one for one in addresses if not one.startswith("127.")} == set()


def test_official_client_works_through_the_service(loop: Loop) -> None:
    assert elasticsearch.__version__[0] == 9
    assert " " in str(loop.home)
    client, index = loop.search, "end-to-end"
    assert client.info()["version"]["number"]
    try:
        client.indices.create(index=index, mappings={"properties": {"n": {"type": "integer"}}})
        actions = ({"_index": index, "_id": str(n), "n": n} for n in range(100))
        assert bulk(client, actions, refresh=True) == (100, [])
        found = client.search(index=index, query={"range": {"n": {"lt": 10}}}, size=0)
        assert found["hits"]["total"]["value"] == 10
        found = client.search(index=index, size=0, aggs={"sum": {"sum": {"field": "n"}}})
        assert found["aggregations"]["sum"]["value"] == 4950
        seen = client.get(index=index, id="7")
        changed = {"if_seq_no": seen["_seq_no"], "if_primary_term": seen["_primary_term"]}
        client.index(index=index, id="7", document={"n": 8}, **changed)
        with pytest.raises(elasticsearch.ConflictError):
            client.index(index=index, id="7", document={"n": 9}, **changed)
    finally:
        client.options(ignore_status=404).indices.delete(index=index)
    with pytest.raises(elasticsearch.NotFoundError):
        client.get(index=index, id="7")


def test_prometheus_scrapes_every_predictor_and_component(loop: Loop) -> None:
    url = loop.platform.url("monitoring/monitoring-kube-prometheus-prometheus")

    def up() -> set[str]:
        found = requests.get(f"{url}/api/v1/query", params={"query": "up == 1"}, timeout=60).json()
        return {one["metric"]["pod"] for one in found["data"]["result"]}

    # Those of ours; a part has its own metrics.
    found = [*loop.platform.objects("Pod", "seldon"), *loop.platform.objects("Pod", "seldon-logs")]
    names = {str(pod["metadata"]["name"]) for pod in found}  # type: ignore[index]  # plain JSON
    pods = {name for name in names if not name.startswith("elasticsearch-")}
    until(up, lambda seen: pods <= seen, what=f"samples of {pods}", timeout=PATIENCE)


def _capabilities(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise AssertionError("the kernel does not tell capabilities")
