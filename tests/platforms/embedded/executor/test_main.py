import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process

import aiohttp
from aiohttp import web

from tests.platforms.embedded.executor.rig import peer
from tests.ports import free_port


async def _start(port: int, model: str, sink: str) -> Process:
    told = {
        "DEPLOYMENT_NAME": "iris",
        "DEPLOYMENT_NAMESPACE": "ns",
        "PREDICTOR_NAME": "default",
        "MODEL_NAME": "classifier",
        "MODEL_URL": model,
        "LOGGER_MODE": "all",
        "LOGGER_URL": sink,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "closedloop.platforms.embedded.executor",
        env={**os.environ, **told, "HOST": "127.0.0.1", "PORT": str(port), "STOP_GRACE": "60"},
        stderr=PIPE,
    )


async def _answer() -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")


async def _slowly() -> web.Response:
    await asyncio.sleep(0.02)
    return web.Response(status=202)


async def test_sigterm_ends_it_with_every_event_sent() -> None:
    port = free_port()
    async with peer(_answer) as model, peer(_slowly) as sink:
        process = await _start(port, model.url, sink.url)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            await _until_live(client, process)
            for _ in range(40):
                async with client.post("/api/v1.0/predictions", data=b"{}") as response:
                    assert response.status == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert len(sink.got) == 80


async def test_a_port_that_is_taken_is_one_line_and_exit_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await _start(port, "http://127.0.0.1:1", "http://127.0.0.1:1")
        _, said = await process.communicate()
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said.decode()
    assert "Traceback" not in said.decode()


async def test_a_bad_environment_is_one_line_and_exit_2() -> None:
    process = await _start(free_port(), "http://127.0.0.1:1", "")
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith("graph node 'classifier' has a logger but its URL is ''")
    assert said.count(b"\n") == 1


async def _until_live(client: aiohttp.ClientSession, process: Process) -> None:
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                async with client.get("/live"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
    raise AssertionError(f"ended with {process.returncode}")
