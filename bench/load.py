"""Load from a process of its own, and the servers it goes to, each a process too."""

import asyncio
import contextlib
import http.client
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop
from aiohttp import web

from bench._compiled import compiled
from closedloop.loop.events import Event
from closedloop.services.kit.service import event_loop

_SPAWN = multiprocessing.get_context("spawn")


class Server:
    """A process that listens at `url`."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid

    @property
    def cpu_seconds(self) -> float:
        """User and system time of its threads and its children's so far, by the scheduler's own
        clock."""
        nanoseconds, processes = 0, [self.pid]
        for process in processes:
            for thread in Path(f"/proc/{process}/task").iterdir():
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
                processes += map(int, (thread / "children").read_text().split())
        return nanoseconds / 1e9

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def service(module: str, within: Sequence[str] = (), **environment: str) -> Iterator[Server]:
    """One of our services, run as a pod would, compiled and ready; `within` begins its command."""
    if "PYTHONPATH" not in environment and (folder := compiled()):
        environment["PYTHONPATH"] = str(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    defaults = {"HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(
        [*within, sys.executable, "-m", module], env={**os.environ, **defaults, **environment}
    )
    try:
        _until_ready(port, process)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def application(make: Callable[[], web.Application]) -> Iterator[Server]:
    """An aiohttp application."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(make, theirs), daemon=True)
    process.start()
    try:
        yield Server(f"http://127.0.0.1:{ours.recv()}", process.pid or 0)
    finally:
        process.terminate()
        process.join()


def empty_handler() -> web.Application:
    """The cost of aiohttp itself: it reads the body and answers."""

    async def acknowledge(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/", acknowledge)
    return app


def rendered(event: Event) -> bytes:
    """The request of a Knative trigger's dispatcher."""
    headers = {
        "host": "component.seldon-logs.svc.cluster.local",
        "user-agent": "Go-http-client/1.1",
        **event.headers(),
        "ce-knativearrivaltime": event.time,
        "prefer": "reply",
        "kn-namespace": "seldon-logs",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "content-length": str(len(event.body)),
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode() + event.body


def send(url: str, requests: Sequence[bytes], connections: int = 50) -> float:
    """Seconds from the first request sent to the last one answered, all with 202."""
    with sending(url, requests, connections) as seconds:
        return seconds()


@contextlib.contextmanager
def sending(
    url: str, requests: Sequence[bytes], connections: int = 50, rate: float | None = None
) -> Iterator[Callable[[], float]]:
    """Requests are under way inside the context, `rate` a second or as fast as they are answered.

    Calling the yielded function waits for the last answer and gives the seconds.
    """
    ours, theirs = _SPAWN.Pipe()
    arguments = urlsplit(url).port, requests, connections, rate, theirs
    process = _SPAWN.Process(target=_send, args=arguments, daemon=True)
    process.start()
    ours.recv()
    try:
        yield ours.recv
    finally:
        process.terminate()
        process.join()


class _Connection(asyncio.Protocol):
    """Sends one request after the other, each when it is due and the one before is answered.

    A protocol and not streams: the time of the generator is taken from the server.
    """

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._answer = b""

    def start(self, waiting: Iterator[tuple[float, bytes]]) -> None:
        self._waiting = waiting
        self._next()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b"\r\n\r\n"):
            return
        if not self._answer.startswith(b"HTTP/1.1 202"):
            self._end(RuntimeError(f"the server answered {self._answer!r}: 202 was expected"))
            return
        self._answer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError(f"the server hung up after {self._answer!r}"))

    def _next(self) -> None:
        due, request = next(self._waiting, (0.0, b""))
        if not request:
            self._end(None)
        elif (early := due - time.perf_counter()) > 0:
            asyncio.get_running_loop().call_later(early, self._transport.write, request)
        else:
            self._transport.write(request)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error:
                self.done.set_exception(error)
            else:
                self.done.set_result(None)
        self._transport.close()


def _send(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    rate: float | None,
    pipe: "Connection[float, float]",
) -> None:
    async def all_connections() -> float:
        loop = asyncio.get_running_loop()
        opened = [
            (await loop.create_connection(_Connection, "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        pipe.send(0.0)
        begin = time.perf_counter()
        pause = 1 / rate if rate else 0.0
        waiting = iter([(begin + i * pause, request) for i, request in enumerate(requests)])
        for connection in opened:
            connection.start(waiting)
        await asyncio.gather(*(connection.done for connection in opened))
        return time.perf_counter() - begin

    pipe.send(uvloop.run(all_connections()))


def _serve(make: Callable[[], web.Application], pipe: "Connection[int, int]") -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    pipe.send(listener.getsockname()[1])
    web.run_app(make(), sock=listener, print=None, access_log=None, loop=event_loop())


def _until_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (status := process.poll()) is not None:
            raise RuntimeError(f"the service at port {port} ended with {status}: see its log")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError), contextlib.closing(connection):
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(f"the service at port {port} is not ready after {seconds:g} s: see its log")
