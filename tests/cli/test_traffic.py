import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest
from sklearn.datasets import load_iris

from closedloop.models.flowers import simulated
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
    announced, sent = result.output.splitlines()
    assert announced.startswith("10 simulated flowers, --seed ")
    assert sent == "10 requests, 0 failed; 5 pieces of feedback, 5 right, 0 failed"
    paths = [path for path, _ in model.seen]
    assert paths.count("/seldon/seldon/iris/api/v1.0/predictions") == 10
    assert paths.count("/seldon/seldon/iris/api/v1.0/feedback") == 5


def test_the_true_kinds_decide_by_default(invoke: Invoke, model: Model) -> None:
    flowers = islice(simulated(7), 150)
    setosas = sum(flower.label == 0 for flower in flowers)
    result = invoke("traffic", "--requests", "150", "--seed", "7")
    assert f"150 pieces of feedback, {setosas} right" in result.output


def flowers_of(model: Model) -> list[tuple[float, ...]]:
    """What was asked, in order."""
    asked = [body for path, body in model.seen if path.endswith("/predictions")]
    return [tuple(body["data"]["ndarray"][0]) for body in asked]


def test_no_flower_comes_twice_whichever_run_and_none_was_measured(
    invoke: Invoke, model: Model
) -> None:
    for _ in range(2):
        assert invoke("traffic", "--requests", "200").exit_code == 0
    sent = flowers_of(model)
    measured = {tuple(row) for row in load_iris().data.tolist()}
    assert len({*sent} | measured) == 400 + len(measured)


def test_a_seed_sends_the_same_flowers_again(invoke: Invoke, model: Model) -> None:
    for _ in range(2):
        invoke("traffic", "--requests", "3", "--seed", "5")
    sent = flowers_of(model)
    assert sent[:3] == sent[3:] == [flower.features for flower in islice(simulated(5), 3)]


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
