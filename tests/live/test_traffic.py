"""Traffic of the page: two streams without an end, with truths as each of them needs them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from closedloop.live.traffic import Streams, send_unknown_class
from closedloop.notebook.waiting import until

_ANSWERS = {
    "sklearn": {"data": {"names": ["t:0", "t:1", "t:2"], "ndarray": [[0.1, 0.8, 0.1]]}},
    "iris-perf": {"data": {"names": [], "ndarray": ["versicolor"]}},
}


class Gateway(ThreadingHTTPServer):
    """Answers as both models do, and keeps the truths that come back, by model."""

    def __init__(self) -> None:
        self.truths: dict[str, list[Any]] = {name: [] for name in _ANSWERS}
        self.rows: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        model = self.path.split("/")[3]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("feedback"):
            self.server.truths[model].append(body["truth"]["data"]["ndarray"][0])
        else:
            self.server.rows.append(f"{model} {body['data']['ndarray'][0]}")
        answer = json.dumps(_ANSWERS[model]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_truths_of_the_one_agree_as_often_as_asked_and_of_the_pair_are_its_flowers(
    gateway: Gateway,
) -> None:
    streams = Streams(rate=100, share=1.0, seed=1)
    streams.correctness = 0.0
    streams.start(gateway.url)
    assert streams.running
    until(lambda: all(len(truths) > 20 for truths in gateway.truths.values()), what="truths")
    streams.stop()
    assert not streams.running
    assert streams.failed == 0
    sent = len(gateway.rows)
    assert all(truth[1] == 0 and sum(truth) == 1 for truth in gateway.truths["sklearn"])
    assert {truth for (truth,) in gateway.truths["iris-perf"]} == {0, 1, 2}
    assert len(set(gateway.rows)) == sent  # every flower is a new one
    streams.correctness = 1.0
    gateway.truths["sklearn"].clear()
    streams.start(gateway.url)
    until(lambda: len(gateway.truths["sklearn"]) > 5, what="truths again")
    streams.stop()
    assert all(truth[1] == 1 for truth in gateway.truths["sklearn"])
    assert len(set(gateway.rows)) == len(gateway.rows)  # also after a stop


def test_a_gateway_that_is_not_there_fails_requests_and_not_the_page() -> None:
    streams = Streams(rate=50, share=1.0)
    streams.start("http://127.0.0.1:1")
    until(lambda: streams.failed > 3, what="failures")
    assert streams.running
    streams.stop()


def test_an_unknown_class_is_sent_to_the_single_model(gateway: Gateway) -> None:
    assert send_unknown_class(gateway.url).failed == 0
    assert gateway.truths == {"sklearn": [["tulip"]], "iris-perf": []}
