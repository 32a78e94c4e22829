import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from elasticsearch import Elasticsearch

from tests.ports import free_port
from tests.services.metrics_server.running import answer, truth, write_log

pytestmark = pytest.mark.embedded


@asynccontextmanager
async def process(url: str, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as a pod runs it, ready."""
    environment = {"HOST": "127.0.0.1", "PORT": str(port), "ELASTICSEARCH_URL": url}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "closedloop.services.metrics_server",
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{port}/ready") as said:
                        if said.status == 200:
                            break
                except aiohttp.ClientError:
                    assert running.returncode is None, "the process ended"
                await asyncio.sleep(0.05)
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def test_killed_and_started_again_it_counts_as_before(
    search: Elasticsearch, url: str
) -> None:
    happened = [answer("cat"), truth("cat"), answer("dog", request_id="s")]
    port = free_port()
    at = f"http://127.0.0.1:{port}"

    async def scores() -> list[str]:
        async with session.get(f"{at}/metrics") as said:
            page = await said.text()
        return [line for line in page.splitlines() if line.startswith("closedloop_rows{")]

    async with aiohttp.ClientSession() as session:
        async with process(url, port) as running:
            for one in happened:
                async with session.post(at, headers=one.headers(), data=one.body) as said:
                    assert said.status == 202
            before = await scores()
            running.kill()
        write_log(search, happened)
        async with process(url, port) as running:
            assert await scores() == before
            running.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.wait(), 60) == 0
    assert any(line.endswith(" 1.0") for line in before)
