"""A model's HTTP API that answers as a test says and remembers who asked what."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, bytes, dict[str, str]]
Call = tuple[str, str, dict[str, object], float]

ANSWER = json.dumps({"data": {"names": ["a", "b", "c"], "ndarray": [[0, 1, 0]]}}).encode()


@contextmanager
def model(reply: Callable[[int], Reply] = lambda _: (200, ANSWER, {})) -> Iterator["Model"]:
    server = Model(reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Model(ThreadingHTTPServer):
    """Answers the n-th call as `reply(n)` says, and remembers all calls in `calls`."""

    def __init__(self, reply: Callable[[int], Reply]) -> None:
        self.reply = reply
        self.calls: list[Call] = []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/seldon/ns/name"

    def kinds(self) -> list[str]:
        return [path.rsplit("/", 1)[1] for path, *_ in self.calls]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.calls.append(
                (self.path, self.headers["Seldon-Puid"], body, time.monotonic())
            )
            number = len(self.server.calls)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.at_once, self.server.most_at_once)
        status, content, headers = self.server.reply(number - 1)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...
