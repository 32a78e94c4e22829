"""The rules in a real Prometheus that scrapes a small exporter, which goes away and comes back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from closedloop.notebook.dashboards import Prometheus, QueryError
from closedloop.notebook.waiting import until
from tests.manifests.rule_tests import MODEL, running_prometheus
from tests.ports import free_port

# All that ever counted as new, and not of the last 30 s: the machine may be slow.
PIECES = "sum_over_time(model:correct:new[10m]) + sum_over_time(model:incorrect:new[10m])"


class Exporter:
    """A metrics server that tells what it is told to tell, at a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.started = 1000
        self.counts: dict[str, int] = {}

    def text(self) -> str:
        labels = ",".join(f'{name}="{value}"' for name, value in MODEL.items())
        lines = [
            "closedloop_state_complete 1",
            f"process_start_time_seconds {self.started}",
            *(f"closedloop_{name}{{{labels}}} {count}" for name, count in self.counts.items()),
        ]
        return "\n".join(lines) + "\n"

    @contextmanager
    def serving(self) -> Iterator[None]:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        with Server(("127.0.0.1", self.port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def prometheus(tmp_path: Path, exporter: Exporter) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path, {"targets": [f"127.0.0.1:{exporter.port}"]}) as url:
        yield Prometheus(url)


def test_pieces_are_counted_over_a_restart_of_who_tells_them(
    exporter: Exporter, prometheus: Prometheus
) -> None:
    """1000 were known before, 30 come, the server restarts and knows all of them, 20 more come."""

    def wait(expr: str, expected: float | None) -> None:
        def ask() -> float | None:
            try:
                return prometheus.scalar(expr)
            except QueryError:  # it is still starting
                return -1

        until(ask, lambda value: value == expected, what=f"{expr} is {expected}", timeout=60)

    exporter.counts = {"correct": 600, "incorrect": 400}
    with exporter.serving():
        wait(PIECES, 0)
        exporter.counts["incorrect"] += 30
        wait(PIECES, 30)
    wait("up", 0)
    exporter.started = 2000
    with exporter.serving():
        wait("up", 1)
        wait("closedloop:metrics_servers", 2000)
        wait("model:feedback_scored", 1030)
        exporter.counts["incorrect"] += 20
        wait("model:feedback_scored", 1050)
        wait(PIECES, 50)
