import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.conftest import Invoke
from tests.suite.fakes import FakePlatform


class Model(ThreadingHTTPServer):
    """Answers every flower with the first class, and notes what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.seen.append((self.path, body))
                answer = json.dumps({"data": {"names": ["a", "b"], "ndarray": [[0.9, 0.1]]}})
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def model(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    with Model() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(platform, "url", lambda _service: url)
        yield server
        server.shutdown()


def test_sends_requests_and_feedback(invoke: Invoke, model: Model) -> None:
    result = invoke("traffic", "iris", "--requests", "10", "--feedback", "0.5", "--right", "1")
    assert result.exit_code == 0
    assert result.output == ("10 requests, 0 failed; 5 pieces of feedback, 5 right, 0 failed\n")
    paths = [path for path, _ in model.seen]
    assert paths.count("/seldon/seldon/iris/api/v1.0/predictions") == 10
    assert paths.count("/seldon/seldon/iris/api/v1.0/feedback") == 5


def test_the_true_kinds_decide_by_default(invoke: Invoke, model: Model) -> None:
    result = invoke("traffic", "--requests", "150")
    assert "150 pieces of feedback, 50 right" in result.output


def test_failed_requests_are_told_and_are_a_failure(invoke: Invoke) -> None:
    result = invoke("traffic", "--requests", "3")
    assert result.exit_code == 1
    assert "3 requests, 3 failed" in result.output
    assert "prediction: connection: 3" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--right-at-end", "0.2"], "--right-at-end needs --right"),
        (["--rate", "0"], "--rate is 0: give requests a second"),
    ],
)
def test_options_that_contradict(arguments: list[str], sentence: str, invoke: Invoke) -> None:
    result = invoke("traffic", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)
