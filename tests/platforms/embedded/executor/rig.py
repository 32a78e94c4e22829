"""A real executor between a programmable model and a sink that keeps what it gets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
from prometheus_client.parser import text_string_to_metric_families

from closedloop.platforms.embedded.executor.server import serve
from closedloop.platforms.embedded.executor.settings import Settings
from tests.ports import free_port

ANSWER = b'{"data":{"names":[],"ndarray":[1]},"meta":{}}\n'


@dataclass
class Got:
    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass
class Peer:
    """An HTTP server that keeps every request and answers with `answer`."""

    answer: Callable[[], Awaitable[web.Response]]
    url: str = ""
    got: list[Got] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait(self, count: int) -> list[Got]:
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.got) >= count)
            return self.got

    async def handle(self, request: web.Request) -> web.Response:
        got = Got(request.method, request.path, request.headers, await request.read())
        async with self.arrived:
            self.got.append(got)
            self.arrived.notify_all()
        return await self.answer()


@asynccontextmanager
async def peer(answer: Callable[[], Awaitable[web.Response]]) -> AsyncIterator[Peer]:
    server = Peer(answer)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def _predicted() -> web.Response:
    return web.Response(body=ANSWER, content_type="application/json")


async def _accepted() -> web.Response:
    return web.Response(status=202)


@dataclass
class Rig:
    """A running executor, its model, its sink and a client of it."""

    model: Peer
    sink: Peer
    client: aiohttp.ClientSession
    settings: Settings
    stop: asyncio.Event
    served: asyncio.Task[None]

    async def stopped(self) -> None:
        self.stop.set()
        await self.served

    async def sample(self, name: str, **labels: str) -> float | None:
        """The value of the one series with this name and these labels among its labels."""
        async with self.client.get("/prometheus") as response:
            families = list(text_string_to_metric_families(await response.text()))
        values = [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(values) <= 1
        return values[0] if values else None


@asynccontextmanager
async def rig(
    *,
    mode: str | None = "all",
    model_answer: Callable[[], Awaitable[web.Response]] = _predicted,
    sink_answer: Callable[[], Awaitable[web.Response]] = _accepted,
    **settings: object,
) -> AsyncIterator[Rig]:
    async with peer(model_answer) as model, peer(sink_answer) as sink:
        told = Settings.model_validate(
            {
                "host": "127.0.0.1",
                "port": free_port(),
                "deployment_name": "iris",
                "deployment_namespace": "ns",
                "predictor_name": "default",
                "model_name": "classifier",
                "model_image": "closedloop/iris:0.1.0",
                "logger_mode": mode or "",
                "model_url": model.url,
                "request_logger_default_endpoint": sink.url,
                "stop_grace": 60.0,
                **settings,
            }
        )
        stop = asyncio.Event()
        served = asyncio.create_task(serve(told, stop))
        base = f"http://127.0.0.1:{told.port}"
        async with aiohttp.ClientSession(base) as client:
            await _listening(client, served)
            model.got.clear()
            yield Rig(model, sink, client, told, stop, served)
        stop.set()
        await served


async def _listening(client: aiohttp.ClientSession, served: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while True:
            assert not served.done()
            try:
                async with client.get("/live"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.005)
