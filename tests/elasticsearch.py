"""A real search server for tests, at a URL that the official client takes as it is.

osmem speaks Elasticsearch's API but not the client's versioned media types, so
a proxy in front of it rewrites them, as the embedded platform's Envoy does.
"""

import asyncio
import json
import os
import re
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import osmem_server
from aiohttp import web

# A port at which nobody listens. That of a process that was killed may become another's.
_NOBODY = "http://127.0.0.1:1"

_PRODUCT = {"x-elastic-product": "Elasticsearch"}
_VERSIONED = re.compile(r"application/vnd\.elasticsearch\+([\w-]+); *compatible-with=\d+")


class SearchServer:
    """An osmem process behind a URL that stays the same when it is killed and started again.

    While it is down the URL answers 503, as Envoy does. Started again it is
    empty: it holds its data in memory.
    """

    def __init__(self) -> None:
        self.url = ""
        self.upstream = ""  # past the proxy, for raw requests
        self.lifecycle: dict[str, Any] = {}  # as put by path: osmem has no lifecycle management
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [osmem_server.resolve_binary(), "--addr", "127.0.0.1:0", "--no-ja"]
        command += ["--parent-pid", str(os.getpid()), "--no-stdin-watch"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self.upstream = json.loads(self._process.stdout.readline())["url"]

    @property
    def pid(self) -> int:
        """Of the running server, not of its proxy."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
            self.upstream = _NOBODY

    @asynccontextmanager
    async def proxied(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(auto_decompress=False) as session:

            async def forward(request: web.Request) -> web.Response:
                headers = {
                    name: _VERSIONED.sub(r"application/\1", request.headers[name])
                    for name in ("accept", "content-type")
                    if name in request.headers
                }
                body = await request.read()
                if request.path.startswith("/_ilm/") or b'"index.lifecycle"' in body:
                    self.lifecycle[request.path] = json.loads(body)
                    return web.json_response({"acknowledged": True}, headers=_PRODUCT)
                try:
                    async with session.request(
                        request.method,
                        self.upstream + request.raw_path,
                        data=body,
                        headers=headers,
                    ) as answer:
                        kept = {
                            name: answer.headers[name]
                            for name in ("content-type", "x-elastic-product", "content-encoding")
                            if name in answer.headers
                        }
                        return web.Response(
                            status=answer.status, body=await answer.read(), headers=kept
                        )
                except aiohttp.ClientError:
                    return web.Response(status=503, text="no healthy upstream")

            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{path:.*}", forward)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0]
            self.url = f"http://{host}:{port}"
            try:
                yield
            finally:
                await runner.cleanup()


@contextmanager
def search_server() -> Iterator[SearchServer]:
    """A search server that a test may kill and start again."""
    server = SearchServer()
    listening = threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def proxy() -> None:
        async with server.proxied():
            listening.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy()), daemon=True)
    server.start()
    try:
        thread.start()
        assert listening.wait(60), "the proxy does not listen"
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
        server.kill()


@contextmanager
def running_elasticsearch() -> Iterator[str]:
    """The URL of a search server that runs as long as the context."""
    with search_server() as server:
        yield server.url
