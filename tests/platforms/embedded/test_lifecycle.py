"""A real daemon with tiny workloads: Envoy and the control loop, but no other part."""

import base64
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from closedloop.notebook.waiting import until
from closedloop.paths import checkout_root
from closedloop.platforms.client.api import Api
from closedloop.platforms.embedded import client, lifecycle, state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.protocol import PlatformError
from tests.platforms.embedded.run.processes import descendants, listening, runs

pytestmark = pytest.mark.embedded

GATEWAY = "istio-system/istio-ingressgateway"

# Told to end, it closes every connection with the next answer, and answers whoever waits.
SERVE = """
import http.server, os, signal, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["ANSWER"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if ending.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False
    block_on_close = False
def end(*_):
    ending.set()
    threading.Thread(target=server.shutdown).start()
ending = threading.Event()
server = Server((os.environ["HOST"], 8080), Handler)
signal.signal(signal.SIGTERM, end)
print("serving", os.environ["ANSWER"], flush=True)
server.serve_forever()
server.socket.setblocking(False)
try:
    while True:
        server.process_request(*server.get_request())
except BlockingIOError:
    pass
"""


def _deployment(
    name: str = "echo", *, answer: str = "one", replicas: int = 1, code: str = SERVE
) -> Any:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [
                        {
                            "name": name,
                            "image": "closedloop/components:0.1.0",
                            "command": ["python", "-c", code],
                            "env": [
                                {
                                    "name": "HOST",
                                    "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
                                },
                                {"name": "ANSWER", "value": answer},
                            ],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                        }
                    ],
                },
            },
        },
    }


def _service(name: str = "echo") -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


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


def _get(url: str) -> str:
    answer = requests.get(url, timeout=60)
    answer.raise_for_status()
    return answer.text


def test_apply_says_what_happened_and_the_service_answers(platform: EmbeddedPlatform) -> None:
    both = (_deployment(), _service())
    assert platform.apply(*both) == ["Service/echo created", "Deployment/echo created"]
    deployment = _available(platform)
    assert deployment["status"]["readyReplicas"] == 1
    assert _get(platform.url("default/echo")) == "one"
    assert platform.apply(*both) == ["Service/echo unchanged", "Deployment/echo unchanged"]
    assert "serving one" in platform.logs("default/echo")
    (pod,) = platform.objects("Pod", "default")
    assert pod["status"]["podIP"].startswith("127.")  # type: ignore[index]  # plain JSON
    (row,) = (row for row in platform.status() if row.part == "default/echo")
    assert (row.state, row.restarts, row.url) == ("ready", 0, platform.url("default/echo"))


# Answers with the file of a mounted ConfigMap, or that there is none.
SERVE_FILE = SERVE.replace(
    'os.environ["ANSWER"].encode()',
    '"".join(open(f).read() for f in [os.environ["ANSWER"]] if os.path.exists(f)).encode()',
)


def _with_settings(*, optional: bool, name: str = "echo") -> Any:
    document = _deployment(name, answer="/etc/settings/word", code=SERVE_FILE)
    spec = document["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "s", "configMap": {"name": "settings", "optional": optional}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "s", "mountPath": "/etc/settings"}]
    return document


def _settings(word: str) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"word": word},
    }


def _pod_names(platform: EmbeddedPlatform) -> list[str]:
    return [pod["metadata"]["name"] for pod in platform.objects("Pod", "default")]  # type: ignore[index]  # plain JSON


def test_files_of_a_config_map_change_under_a_pod_that_goes_on(platform: EmbeddedPlatform) -> None:
    platform.apply(_with_settings(optional=True), _service())
    _available(platform)
    url, names = platform.url("default/echo"), _pod_names(platform)
    assert _get(url) == ""
    for word in ("one", "two"):
        platform.apply(_settings(word))
        assert _get(url) == word
    platform.delete(_settings(""))
    assert _get(url) == ""
    assert _pod_names(platform) == names
    assert {row.restarts for row in platform.status()} == {0}


def test_a_pod_without_its_config_map_waits_and_says_why(platform: EmbeddedPlatform) -> None:
    platform.apply(_with_settings(optional=False), _service())
    why = "volume s: ConfigMap default/settings not found"
    with pytest.raises(PlatformError, match=why):
        platform.wait("Deployment", "echo", condition="Available", timeout=0.5)
    assert why in _note(platform, "default/echo")
    platform.apply(_settings("one"))
    _available(platform)
    url, names = platform.url("default/echo"), _pod_names(platform)
    # Gone, it stays for who has it, as on a cluster.
    platform.delete(_settings(""))
    assert _get(url) == "one"
    assert _pod_names(platform) == names
    _available(platform)


class _Caller(threading.Thread):
    """Calls a URL without a pause, on new connections and on one that is kept."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.answers: set[str] = set()
        self.failures: list[str] = []
        self.calls = 0
        self._url = url
        self._done = threading.Event()

    def run(self) -> None:
        with requests.Session() as kept:
            while not self._done.is_set():
                for call in (requests.get, kept.get):
                    self.calls += 1
                    try:
                        answer = call(self._url, timeout=60)
                        answer.raise_for_status()
                        self.answers.add(answer.text)
                    except requests.RequestException as error:
                        self.failures.append(f"{call}: {error}")

    def hears(self, answer: str) -> None:
        until(lambda: answer in self.answers, what=f"the answer {answer}", timeout=60)

    def finish(self) -> None:
        self._done.set()
        self.join()


def test_change_replaces_pods_without_a_failed_request(platform: EmbeddedPlatform) -> None:
    platform.apply(_deployment(), _service())
    _available(platform)
    caller = _Caller(platform.url("default/echo"))
    caller.start()
    try:
        caller.hears("one")
        for number in range(3):
            change = _deployment(answer=f"change {number}", replicas=1 + number % 2)
            assert platform.apply(change) == ["Deployment/echo configured"]
            _available(platform)
            until(
                lambda: len(platform.objects("Pod", "default")),
                lambda n, number=number: n == 1 + number % 2,  # type: ignore[misc]  # bound here
                what="the old pods to go",
                timeout=60,
            )
            caller.hears(f"change {number}")
        until(lambda: caller.calls > 50, what="more than 50 calls", timeout=60)
    finally:
        caller.finish()
    assert caller.failures == []
    assert caller.answers == {"one", "change 0", "change 1", "change 2"}


def test_change_that_does_not_start_leaves_the_old_pods_serving(
    platform: EmbeddedPlatform,
) -> None:
    platform.apply(_deployment(), _service())
    _available(platform)
    platform.apply(_deployment(code="raise SystemExit('no such model')"))
    until(
        lambda: _note(platform, "default/echo"),
        lambda note: "exited with status 1" in note,
        what="the new pod to end",
        timeout=60,
    )
    with pytest.raises(PlatformError) as failure:
        platform.wait("Deployment", "echo", condition="Available", timeout=2)
    said = str(failure.value)
    assert said.startswith("Deployment default/echo is not Available after 2 s: ")
    assert "exited with status 1" in said
    assert "no such model" in said
    assert _get(platform.url("default/echo")) == "one"
    platform.apply(_deployment(answer="mended"))
    _available(platform)
    until(  # an old pod answers until it has left the route, as on a cluster
        lambda: _get(platform.url("default/echo")),
        lambda answer: answer == "mended",
        what="the new pod to answer alone",
    )


def test_killed_pod_is_ready_again_when_restart_returns(platform: EmbeddedPlatform) -> None:
    platform.apply(_deployment(), _service())
    _available(platform)
    platform.restart("default/echo", kill=True)
    assert _get(platform.url("default/echo")) == "one"


def test_killed_proxy_comes_back_with_its_routes(platform: EmbeddedPlatform) -> None:
    platform.apply(_deployment(), _service())
    _available(platform)
    platform.restart("envoy", kill=True)
    assert _get(platform.url("default/echo")) == "one"


def test_refused_configuration_is_told_until_envoy_takes_it(platform: EmbeddedPlatform) -> None:
    platform.apply(_deployment(), _service())
    _available(platform)
    url = platform.url("default/echo")
    platform.delete(_service())
    port = int(url.rpartition(":")[2])
    # Envoy has taken the listener away, but a worker of it may be about to close it.
    other = until(lambda: _server(port), what=f"port {port} to be free", timeout=60)
    assert other
    with other:
        platform.apply(_service())
        until(
            lambda: _note(platform, GATEWAY),
            _is_refusal,
            what="the refusal",
            timeout=60,
        )
        platform.apply(_deployment(replicas=2))  # more passes make no difference
        _available(platform)
        assert _is_refusal(_note(platform, GATEWAY))
    until(
        lambda: _note(platform, GATEWAY),
        lambda note: not _is_refusal(note),
        what="the end of it",
        timeout=60,
    )
    assert _get(url) == "one"


def _server(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def _note(platform: EmbeddedPlatform, part: str) -> str:
    (row,) = (row for row in platform.status() if row.part == part)
    return row.note


def _is_refusal(note: str) -> bool:
    return "Envoy refused lds.json" in note or "Envoy did not take lds.json" in note


def test_delete_waits_until_all_is_gone(platform: EmbeddedPlatform) -> None:
    both = (_deployment(), _service())
    platform.apply(*both)
    _available(platform)
    url = platform.url("default/echo")
    assert platform.delete(*both) == ["Deployment/echo deleted", "Service/echo deleted"]
    assert platform.objects("Pod", "default") == []
    with pytest.raises(requests.ConnectionError):
        _get(url)
    assert platform.delete(_service()) == ["Service/echo absent"]
    platform.wait("Deployment", "echo", condition="Deleted", timeout=60)


def test_service_keeps_its_port_when_it_comes_back(platform: EmbeddedPlatform) -> None:
    platform.apply(_service())
    url = platform.url("default/echo")
    platform.delete(_service())
    platform.apply(_service())
    assert platform.url("default/echo") == url


def test_what_cannot_be_applied_changes_nothing_of_what_is_there(
    platform: EmbeddedPlatform,
) -> None:
    platform.apply(_deployment())
    bad = _deployment(answer="other")
    bad["spec"]["template"]["spec"]["hostNetwork"] = True
    with pytest.raises(PlatformError, match="hostNetwork is not supported"):
        platform.apply(bad)
    assert platform.apply(_deployment()) == ["Deployment/echo unchanged"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "b"}},
            "there is no kind Broker .* install knative-eventing first",
        ),
        (
            _service() | {"metadata": {"name": "a", "namespace": "nowhere"}},
            "no namespace nowhere: apply it first",
        ),
    ],
)
def test_what_a_cluster_would_refuse(
    platform: EmbeddedPlatform, document: Any, message: str
) -> None:
    with pytest.raises(PlatformError, match=message):
        platform.apply(document)


def test_questions_about_what_is_not_there(platform: EmbeddedPlatform) -> None:
    platform.apply(_service())
    with pytest.raises(PlatformError, match="there is no Deployment none: apply it first"):
        platform.get("Deployment", "none")
    with pytest.raises(PlatformError, match="there is no Service default/none"):
        platform.url("default/none")
    with pytest.raises(PlatformError, match="has no port 81: it has http"):
        platform.url("default/echo", 81)
    with pytest.raises(PlatformError, match="nothing runs by the name none"):
        platform.logs("none")
    with pytest.raises(PlatformError, match="nothing runs by the name none"):
        platform.restart("none")
    with pytest.raises(PlatformError, match="a Service has no conditions"):
        platform.wait("Service", "echo")
    with pytest.raises(PlatformError, match="there is no part 'helm'"):
        platform.install("helm")


def test_nothing_listens_beyond_loopback(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(_deployment(replicas=2), _service())
    _available(platform)
    addresses = listening(descendants(_pid(home)))
    assert len(addresses) >= 6  # control, admin, gateway, service, two pods
    assert {address for address in addresses if not address.startswith("127.")} == set()


def test_control_needs_the_token(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(_service())
    found = state.read(home / "platform")
    assert found
    config = yaml.safe_load(Path(found.kubeconfig).read_text())
    cluster = config["clusters"][0]["cluster"]
    authority = home / "authority.pem"
    authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    url = cluster["server"]
    assert requests.get(f"{url}/api/v1/pods", timeout=60, verify=str(authority)).status_code == 401
    wrong = {"Authorization": "Bearer é".encode()}
    answer = requests.post(
        f"{url}/closedloop/down", headers=wrong, timeout=60, verify=str(authority)
    )
    assert answer.status_code == 401


def _leftovers(home: Path) -> set[str]:
    return {path.name for path in (home / "platform").iterdir()} - {"logs", "daemon.log", "lock"}


def test_down_leaves_nothing_and_up_works_again(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(_deployment(), _service())
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
        _get(url)
    platform.down()  # twice is no error
    assert platform.status() == []
    with pytest.raises(PlatformError, match="no platform runs here"):
        platform.url("default/echo")
    assert platform.delete(_service()) == ["Service/echo absent"]
    assert platform.apply(_service()) == ["Service/echo created"]


def test_down_does_not_wait_for_another_client(
    platform: EmbeddedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.apply(_service())
    asked = threading.Event()
    real = Api.watch

    def watch(self: Api, *arguments: Any, **options: Any) -> Any:
        asked.set()
        return real(self, *arguments, **options)

    monkeypatch.setattr(Api, "watch", watch)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(platform.wait, "Deployment", "none", condition="Available")
        assert asked.wait(60)
        platform.down()
        with pytest.raises(PlatformError, match=r"^the platform ended: "):
            waiting.result()


def test_down_ends_an_installation(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(_service())
    (home / "parts").mkdir()
    with (home / "parts" / ".models.lock").open("w") as lock, ThreadPoolExecutor(1) as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another process that prepares the models
        installing = threads.submit(platform.install, "seldon-core")
        log = home / "platform" / "daemon.log"
        until(
            lambda: "waiting for another process" in log.read_text(),
            what="the installation",
            timeout=60,
        )
        platform.down()
        with pytest.raises(PlatformError, match=r"^the platform ended: "):
            installing.result()


def _await_end(pids: set[int]) -> None:
    until(lambda: not any(map(runs, pids)), what="every process to end", timeout=60, every=0.05)


@pytest.mark.chaos
def test_killed_daemon_takes_everything_with_it(platform: EmbeddedPlatform, home: Path) -> None:
    platform.apply(_deployment(), _service())
    _available(platform)
    found = state.read(home / "platform")
    assert found
    everything = descendants(found.pid)
    os.kill(found.pid, signal.SIGKILL)
    _await_end(everything)
    until(lambda: not Path(found.tmp).exists(), what="the temporary folder to go", timeout=60)
    assert platform.status() == []
    assert platform.apply(_service()) == ["Service/echo created"]
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
    platform.apply(_service())
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_everything(
    platform: EmbeddedPlatform, home: Path, number: signal.Signals
) -> None:
    platform.apply(_deployment(), _service())
    pid = _pid(home)
    everything = descendants(pid)
    os.kill(pid, number)
    _await_end(everything)
    assert _leftovers(home) == set()


def test_platform_ends_with_the_process_that_owns_it(home: Path) -> None:
    owner = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    one = EmbeddedPlatform(parent_pid=owner)
    one.apply(_service())
    everything = descendants(_pid(home))
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    _await_end(everything)
    one.down()


def test_clients_that_start_at_once_share_one_platform(
    platform: EmbeddedPlatform, home: Path
) -> None:
    def apply(number: int) -> int:
        EmbeddedPlatform(parent_pid=os.getpid()).apply(_service(f"echo-{number}"))
        return _pid(home)

    with ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(apply, range(4)))
    assert len(pids) == 1
    made = {f"echo-{number}" for number in range(4)}
    assert made <= {str(one["metadata"]["name"]) for one in platform.objects("Service")}  # type: ignore[index]  # plain JSON


def test_elasticsearch_of_ones_own(
    platform: EmbeddedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = '{"version": {"number": "9.5.2"}}'
    platform.apply(_deployment(answer=answer), _service())
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


def test_elasticsearch_that_does_not_answer_is_named(
    platform: EmbeddedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSEDLOOP_ELASTICSEARCH_URL", "http://me:secret@127.0.0.1:1")
    with pytest.raises(
        PlatformError, match=r"URL=http://127\.0\.0\.1:1 does not answer"
    ) as failure:
        platform.install("elasticsearch")
    assert "secret" not in str(failure.value)


def test_the_gateway_is_there_and_knows_no_route(platform: EmbeddedPlatform) -> None:
    (row,) = platform.install("istio")
    assert (row.part, row.state) == (GATEWAY, "ready")
    assert row.url == platform.url(GATEWAY)
    assert requests.get(row.url, timeout=60).status_code == 404
