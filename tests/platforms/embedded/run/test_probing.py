import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from closedloop.platforms.embedded.desired import Probe
from closedloop.platforms.embedded.run.probing import check
from tests.ports import free_port


@asynccontextmanager
async def _answering(answer: bytes | None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 302 Found\r\n\r\n", ""),
        (b"HTTP/1.1 503 No\r\n\r\nrestoring 3 of 9\nmore", ": 503, restoring 3 of 9"),
        (b"SSH-2.0-x\r\n", "no HTTP answer"),
        (b"", "no HTTP answer"),
        (None, "no answer from 127.0.0.1"),
    ],
)
async def test_get(answer: bytes | None, why: str) -> None:
    async with _answering(answer) as port:
        limit = 0.3 if answer is None else 60
        reason = await check(Probe(port, "/ready", timeout=limit), "127.0.0.1")
    assert why in reason if why else reason == ""


async def test_connect() -> None:
    async with _answering(b"") as port:
        assert await check(Probe(port, timeout=60), "127.0.0.1") == ""
    probe = Probe(free_port(), timeout=60)
    assert "Connection refused" in await check(probe, "127.0.0.1")
