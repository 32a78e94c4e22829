"""Tiny workloads on a real platform: pods behind Envoy, as they change, crash and go."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from closedloop.notebook.waiting import until
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.protocol import PlatformError
from tests.platforms import echo
from tests.platforms.embedded.run.processes import descendants, listening

pytestmark = pytest.mark.embedded

GATEWAY = "istio-system/istio-ingressgateway"


@pytest.fixture
def platform(installed: EmbeddedPlatform) -> Iterator[EmbeddedPlatform]:
    """The platform with nothing in the namespace `default` before and after."""
    yield installed
    installed.delete(echo.service(), echo.deployment(), _settings(""))


def _available(platform: EmbeddedPlatform) -> dict[str, Any]:
    return platform.wait("Deployment", "echo", condition="Available", timeout=60)


def _get(url: str) -> str:
    answer = requests.get(url, timeout=60)
    answer.raise_for_status()
    return answer.text


def test_what_is_applied_answers_at_its_url_and_on_loopback_alone(
    platform: EmbeddedPlatform, installed_home: Path
) -> None:
    platform.apply(echo.deployment(replicas=2), echo.service())
    _available(platform)
    url = platform.url("default/echo")
    assert _get(url) == "one"
    (row,) = (row for row in platform.status() if row.part == "default/echo")
    assert (row.state, row.restarts, row.url) == ("ready", 0, url)
    found = state.read(installed_home / "platform")
    assert found
    addresses = listening(descendants(found.pid))
    assert len(addresses) >= 6  # control, admin, gateway, service, two pods
    assert {address for address in addresses if not address.startswith("127.")} == set()


SERVE_FILE = echo.SERVE.replace(
    'os.environ["ANSWER"].encode()',
    '"".join(open(f).read() for f in [os.environ["ANSWER"]] if os.path.exists(f)).encode()',
)


def _with_settings(*, optional: bool) -> Any:
    document = echo.deployment(answer="/etc/settings/word", code=SERVE_FILE)
    spec = document["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "s", "configMap": {"name": "settings", "optional": optional}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "s", "mountPath": "/etc/settings"}]
    return document


def _settings(word: str) -> Any:
    return echo.config_map("settings", word=word)


def _pod_names(platform: EmbeddedPlatform) -> list[str]:
    return [pod["metadata"]["name"] for pod in platform.objects("Pod", "default")]  # type: ignore[index]  # plain JSON


def test_files_of_a_config_map_change_under_a_pod_that_goes_on(platform: EmbeddedPlatform) -> None:
    platform.apply(_with_settings(optional=True), echo.service())
    _available(platform)
    url, names = platform.url("default/echo"), _pod_names(platform)
    assert _get(url) == ""
    for word in ("one", "two"):
        platform.apply(_settings(word))
        assert _get(url) == word
    platform.delete(_settings(""))
    assert _get(url) == ""
    assert _pod_names(platform) == names
    assert [row.restarts for row in platform.status() if row.part == "default/echo"] == [0]


def test_a_pod_without_its_config_map_waits_and_says_why(platform: EmbeddedPlatform) -> None:
    platform.apply(_with_settings(optional=False), echo.service())
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
    platform.apply(echo.deployment(), echo.service())
    _available(platform)
    caller = _Caller(platform.url("default/echo"))
    caller.start()
    try:
        caller.hears("one")
        for number in range(3):
            change = echo.deployment(answer=f"change {number}", replicas=1 + number % 2)
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
    platform.apply(echo.deployment(), echo.service())
    _available(platform)
    platform.apply(echo.deployment(code="raise SystemExit('no such model')"))
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
    platform.apply(echo.deployment(answer="mended"))
    _available(platform)
    until(  # an old pod answers until it has left the route, as on a cluster
        lambda: _get(platform.url("default/echo")),
        lambda answer: answer == "mended",
        what="the new pod to answer alone",
    )


def test_killed_proxy_comes_back_with_its_routes(platform: EmbeddedPlatform) -> None:
    platform.apply(echo.deployment(), echo.service())
    _available(platform)
    platform.restart("envoy", kill=True)
    assert _get(platform.url("default/echo")) == "one"


def test_refused_configuration_is_told_until_envoy_takes_it(platform: EmbeddedPlatform) -> None:
    platform.apply(echo.deployment(), echo.service())
    _available(platform)
    url = platform.url("default/echo")
    platform.delete(echo.service())
    port = int(url.rpartition(":")[2])
    # Envoy has taken the listener away, but a worker of it may be about to close it.
    other = until(lambda: _server(port), what=f"port {port} to be free", timeout=60)
    assert other
    with other:
        platform.apply(echo.service())
        until(
            lambda: _note(platform, GATEWAY),
            _is_refusal,
            what="the refusal",
            timeout=60,
        )
        platform.apply(echo.deployment(replicas=2))  # more passes make no difference
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
    both = (echo.deployment(), echo.service())
    platform.apply(*both)
    _available(platform)
    url = platform.url("default/echo")
    assert platform.delete(*both) == ["Deployment/echo deleted", "Service/echo deleted"]
    assert platform.objects("Pod", "default") == []
    with pytest.raises(requests.ConnectionError):
        _get(url)
    assert platform.delete(echo.service()) == ["Service/echo absent"]
    platform.wait("Deployment", "echo", condition="Deleted", timeout=60)


def test_service_keeps_its_port_when_it_comes_back(platform: EmbeddedPlatform) -> None:
    platform.apply(echo.service())
    url = platform.url("default/echo")
    platform.delete(echo.service())
    platform.apply(echo.service())
    assert platform.url("default/echo") == url


def test_what_cannot_be_applied_changes_nothing_of_what_is_there(
    platform: EmbeddedPlatform,
) -> None:
    platform.apply(echo.deployment())
    bad = echo.deployment(answer="other")
    bad["spec"]["template"]["spec"]["hostNetwork"] = True
    worse = echo.deployment("worse")
    worse["spec"]["replicas"] = -1
    with pytest.raises(PlatformError) as refused:
        platform.apply(echo.service(), bad, worse, echo.service(namespace="nowhere"))
    faults = str(refused.value).splitlines()
    assert [
        [word in fault for fault in faults] for word in ("no namespace", "hostNetwork", "replicas")
    ] == [[True, False, False], [False, True, False], [False, False, True]]
    names = [each["metadata"]["name"] for each in platform.objects("Service", "default")]  # type: ignore[index]  # plain JSON
    assert "echo" not in names
    assert platform.apply(echo.deployment()) == ["Deployment/echo unchanged"]


def test_questions_about_services_and_parts_that_are_not_there(platform: EmbeddedPlatform) -> None:
    platform.apply(echo.service())
    with pytest.raises(PlatformError, match="there is no Service default/none"):
        platform.url("default/none")
    with pytest.raises(PlatformError, match="has no port 81: it has http"):
        platform.url("default/echo", 81)
    with pytest.raises(PlatformError, match="there is no part 'helm'"):
        platform.install("helm")
    nowhere = echo.service(namespace="nowhere")
    with pytest.raises(PlatformError, match="no namespace nowhere: apply it first"):
        platform.apply(nowhere)


def test_the_gateway_is_there_and_knows_no_route(platform: EmbeddedPlatform) -> None:
    (row,) = platform.install("istio")
    assert (row.part, row.state, row.url) == (GATEWAY, "ready", platform.url(GATEWAY))
    assert requests.get(row.url, timeout=60).status_code == 404
