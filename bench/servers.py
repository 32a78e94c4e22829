"""The CPU that HTTP servers take for a request that does nothing, on kept connections.

Microseconds of a request, of all threads: of each server that is installed. Only aiohttp and
uvicorn are among the dependencies; `pip install granian blacksheep` brings others in. The last is
that of our services, which is uvicorn without a task for each event (`services/kit/server.py`).
"""

import contextlib
import importlib.util
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from bench.iris import loop
from bench.load import Server, rendered, send
from closedloop.loop.events import HEADERS
from closedloop.services.kit import service
from closedloop.services.kit.asgi import Application
from closedloop.services.kit.server import run as run_services

BY_NAME_ONLY = True
SERVERS = (
    "aiohttp", "uvicorn", "uvicorn_asyncio", "granian", "granian_rsgi", "blacksheep", "closedloop",
)  # fmt: skip


def run(predictions: int = 4000, rounds: int = 3) -> dict[str, float]:
    """Medians of `rounds`."""
    requests = [rendered(event) for event in loop(predictions)]
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in SERVERS:
            if importlib.util.find_spec(name.partition("_")[0]) is None:
                continue
            with empty(name) as server:
                before = server.cpu_seconds
                send(server.url, requests)
                seconds = server.cpu_seconds - before
            taken.setdefault(name, []).append(1e6 * seconds / len(requests))
    return {f"{name}_microseconds": statistics.median(each) for name, each in taken.items()}


@contextlib.contextmanager
def empty(name: str) -> Iterator[Server]:
    """A server that reads the body and answers 202."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "bench.servers", name, str(port)])
    try:
        _until_open(port)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait()


async def application(_: dict[str, Any], receive: Any, send: Any) -> None:
    """The empty handler of ASGI."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class Rsgi:
    """The empty handler of Granian's own interface."""

    async def __rsgi__(self, _: Any, protocol: Any) -> None:
        await protocol()
        protocol.response_empty(202, [("content-length", "0")])


rsgi = Rsgi()


def _serve(name: str, port: int) -> None:
    kind, _, how = name.partition("_")
    if kind == "aiohttp":
        from aiohttp import web

        from bench.load import empty_handler

        web.run_app(empty_handler(), host="127.0.0.1", port=port, print=None, access_log=None)
    elif kind == "granian":
        granian: Any = importlib.import_module("granian")
        interface = how or "asgi"
        target = "bench.servers:rsgi" if how else "bench.servers:application"
        granian.Granian(
            target, "127.0.0.1", port, interface=interface, loop="uvloop", log_enabled=False
        ).serve()
    elif kind == "closedloop":
        nothing = Application(
            {"/": lambda *_: (202, "")},
            HEADERS,
            most_bytes=1 << 20,
            registry=CollectorRegistry(),
            why_not_ready=lambda: None,
            lifetime=contextlib.nullcontext,
        )
        run_services(nothing, service.Settings(host="127.0.0.1", port=port))
    else:
        import uvicorn

        app: Any = application
        if kind == "blacksheep":
            blacksheep: Any = importlib.import_module("blacksheep")
            app = blacksheep.Application()

            async def acknowledge(request: Any) -> Any:
                await request.read()
                return blacksheep.Response(202)

            acknowledge.__annotations__["request"] = blacksheep.Request
            app.router.add_post("/", acknowledge)
        uvicorn.run(
            app,
            port=port,
            http="httptools",
            loop=how or "uvloop",
            lifespan="auto" if kind == "blacksheep" else "off",
            access_log=False,
            log_level="warning",
        )


def _until_open(port: int) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise TimeoutError(f"no server listens at port {port}")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
