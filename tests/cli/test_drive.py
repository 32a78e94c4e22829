import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from closedloop.platforms.protocol import PartStatus
from tests.cli.conftest import Invoke
from tests.suite.fakes import FakePlatform


class Loop(ThreadingHTTPServer):
    """Gateway, log and Prometheus at one address: what came in is seen by the next question."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []
        self.status = 200
        self.parts = [PartStatus("envoy", "1", "ready")]
        self.score: dict[str, object] = {"state": "scored", "correct": True}
        loop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                loop.said.append((self.path, body))
                self._answer(loop.status, {"data": {"ndarray": [[0.9, 0.1]]}})

            def do_GET(self) -> None:
                if "/_doc/test-drive-" in self.path:
                    sections = {"response": {}, "feedback": {}, "score": loop.score}
                    self._answer(200, {"_source": sections, "found": True})
                else:
                    series = {"metric": {}, "value": [0, str(40 + len(loop.said))]}
                    self._answer(200, {"status": "success", "data": {"result": [series]}})

            def _answer(self, status: int, content: object) -> None:
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def loop(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    with Loop() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(platform, "url", lambda _service: url)
        monkeypatch.setattr(platform, "status", lambda: server.parts if platform.up else [])
        platform.up = True
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def deployed(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {"spec": {"predictors": [{"name": "default"}]}}
    monkeypatch.setattr(platform, "get", lambda *_: spec)


@pytest.mark.usefixtures("deployed")
def test_a_line_for_each_step(invoke: Invoke, loop: Loop) -> None:
    result = invoke("test-drive")
    assert result.exit_code == 0, result.output
    *steps, last = result.stdout.splitlines()
    assert [line.split()[:2] for line in steps] == [
        ["ok", step] for step in ("platform", "model", "prediction", "feedback", "log", "metrics")
    ]
    assert steps[-1].endswith("42 rows are judged, 40 were before")
    assert last == "seldon/sklearn closes the loop."
    (asked, row), (judged, truth) = loop.said
    assert (asked, judged) == tuple(
        f"/seldon/seldon/sklearn/api/v1.0/{path}" for path in ("predictions", "feedback")
    )
    assert row == {"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
    assert truth["truth"] == {"data": {"ndarray": ["setosa"]}}


@pytest.mark.usefixtures("deployed")
def test_a_model_of_ones_own_is_asked_what_its_owner_says(invoke: Invoke, loop: Loop) -> None:
    words = ("test-drive", "prices", "-n", "shop", "--row", "[1, 2]", "--truth", "3.5")
    assert invoke(*words).exit_code == 0
    (path, row), (_, truth) = loop.said
    assert path == "/seldon/shop/prices/api/v1.0/predictions"
    assert row["data"]["ndarray"] == [[1, 2]]
    assert truth["truth"]["data"]["ndarray"] == [3.5]


@pytest.mark.usefixtures("deployed")
def test_the_first_step_that_fails_is_the_last(invoke: Invoke, loop: Loop) -> None:
    loop.status = 500
    result = invoke("test-drive")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split()[:2] == ["failed", "prediction"]
    assert "/api/v1.0/predictions answered 500 with " in result.stderr
    assert len(loop.said) == 1


@pytest.mark.usefixtures("deployed")
def test_feedback_that_does_not_count_is_a_failure(invoke: Invoke, loop: Loop) -> None:
    loop.score = {"state": "unscorable", "reason": "undeclared_number"}
    result = invoke("test-drive")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split()[:2] == ["failed", "log"]
    assert "(undeclared_number): a lone number may be a class" in result.stderr


@pytest.mark.usefixtures("loop")
def test_an_absent_model_of_ones_own_is_not_deployed(
    invoke: Invoke, platform: FakePlatform
) -> None:
    result = invoke("test-drive", "prices", "--row", "[1]", "--truth", "2")
    assert result.exit_code == 1
    assert result.stderr.startswith("there is no SeldonDeployment seldon/prices")
    assert not platform.calls


def test_a_platform_and_a_model_that_were_not_there_go_again(
    invoke: Invoke, platform: FakePlatform, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.up = False
    removed: list[str] = []
    monkeypatch.setattr(platform, "delete", lambda *names: removed.extend(names))
    monkeypatch.setattr(platform, "down", lambda: removed.append("platform"))
    loop.status = 503
    assert invoke("test-drive").exit_code == 1
    assert "apply models/sklearn.yaml" in platform.calls
    assert removed == ["models/sklearn.yaml", "platform"]


def test_a_part_that_is_not_ready_is_named(invoke: Invoke, loop: Loop) -> None:
    loop.parts = [PartStatus("seldon-logs/logger", "1", "restarting")]
    result = invoke("test-drive")
    assert result.exit_code == 1
    assert result.stderr.startswith("seldon-logs/logger is restarting: see `closedloop logs")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["prices"], "what to ask seldon/prices is not known: give --row and --truth, as JSON"),
        (["--truth", "setosa"], "--truth setosa is not JSON"),
    ],
)
def test_what_cannot_be_asked_is_said(words: list[str], sentence: str, invoke: Invoke) -> None:
    result = invoke("test-drive", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)
