"""The process as a pod runs it."""

import asyncio
import itertools
import os
import signal
import sys

import aiohttp
import pytest

from tests.elasticsearch import SearchServer
from tests.ports import free_port
from tests.services.request_logger.running import documents, log_of, loop_of


@pytest.mark.embedded
async def test_on_sigterm_it_finishes_what_it_took(server: SearchServer, deployment: str) -> None:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "ELASTICSEARCH_URL": server.url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "closedloop.services.request_logger", env=environment
    )
    kept: set[str] = set()
    url = f"http://127.0.0.1:{port}"

    async def deliver(session: aiohttp.ClientSession, sender: int) -> None:
        """Until nobody listens any more: whenever it stops, it stops amid traffic."""
        for i in itertools.count():
            for sent in loop_of(f"puid-{sender}-{i}", deployment):
                async with session.post(url, headers=sent.headers(), data=sent.body) as answer:
                    if answer.status == 202:
                        kept.add(sent.id)

    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while not await is_ready(session, url):
                await asyncio.sleep(0.05)
            sending = [asyncio.create_task(deliver(session, i)) for i in range(100)]
            while len(kept) < 50:
                await asyncio.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            ended = await asyncio.gather(*sending, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert all(isinstance(one, aiohttp.ClientError) for one in ended), ended
    found = await documents(server.url, log_of(deployment), size=10_000)
    written = {
        section["ce-id"]
        for document in found.values()
        for section in document.values()
        if isinstance(section, dict) and "ce-id" in section
    }
    assert kept <= written


async def is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
