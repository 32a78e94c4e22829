"""Several loggers at one log, one of them killed amid traffic: every event counts, and once."""

import asyncio
import os
import random
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from closedloop.loop import events
from closedloop.loop.documents import merge
from closedloop.loop.events import Event
from closedloop.loop.observation import observe
from closedloop.loop.sections import sections_of
from tests.elasticsearch import SearchServer
from tests.ports import free_port
from tests.services.request_logger.running import event, log_of, search
from tests.services.request_logger.test_main import is_ready
from tests.services.request_logger.test_rollover import roll_over

_SENDERS = 40


def traffic(deployment: str, predictions: int) -> list[list[Event]]:
    """The events of each prediction: every third has three rows, all are corrected once."""
    said = []
    for i in range(predictions):
        rows = [[float(i), row] for row in range(3 if i % 3 == 0 else 1)]
        bodies: list[tuple[str, object]] = [
            (events.REQUEST, {"data": {"ndarray": rows}}),
            (events.RESPONSE, {"data": {"names": ["a", "b"], "ndarray": [[0.2, 0.8]] * len(rows)}}),
            (events.FEEDBACK, {"reward": 0, "truth": {"data": {"ndarray": [0] * len(rows)}}}),
            (events.FEEDBACK, {"reward": 1, "truth": {"data": {"ndarray": [i % 2] * len(rows)}}}),
        ]  # fmt: skip
        said.append([event(kind, body, f"p-{i}", deployment=deployment) for kind, body in bodies])
    return said


def telling(document: Mapping[str, Any]) -> object:
    """All that must be the same however the events of a document came together."""
    sections = [document.get(name, {}) for name in ("request", "response", "feedback")]
    return (
        document.get("score"),
        document.get("delay_seconds"),
        [(section.get("ce-id"), section.get("instance")) for section in sections],
        [earlier["ce-id"] for earlier in document.get("feedback_history", ())],
    )


def expected(said: Sequence[Sequence[Event]]) -> dict[str, object]:
    """The documents that one writer makes of it, in order."""
    merged: dict[str, Any] = {}
    for prediction in said:
        rows = observe(prediction[0]).entries
        for one in prediction:
            for section in sections_of(observe(one), rows):
                name = section.document_id
                merged[name], _ = merge(merged.get(name), section)
    return {name: telling(document) for name, document in merged.items()}


async def there(server: SearchServer, deployment: str) -> list[tuple[str, object]]:
    """The documents of all indices of the log: a row that two of them had would be there twice."""
    found = await search(server.url, log_of(deployment), size=5000)
    hits = found["hits"]["hits"]
    return sorted(((hit["_id"], telling(hit["_source"])) for hit in hits), key=str)


@asynccontextmanager
async def replicas(url: str, count: int) -> AsyncIterator[dict[str, Process]]:
    """Processes that are ready, by their URL."""
    running: dict[str, Process] = {}
    try:
        for _ in range(count):
            port = free_port()
            environment = {**os.environ, "PORT": str(port), "ELASTICSEARCH_URL": url}
            running[f"http://127.0.0.1:{port}"] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "closedloop.services.request_logger",
                env={**environment, "ROLLOVER_AGE": "30d", "LOG_LEVEL": "ERROR"},
            )  # fmt: skip
        async with aiohttp.ClientSession() as session, asyncio.timeout(120):
            for one in running:
                while not await is_ready(session, one):
                    await asyncio.sleep(0.1)
        yield running
    finally:
        for process in running.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.embedded
@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.nightly)])
async def test_replicas_are_exact_when_one_is_killed_amid_a_rollover(
    server: SearchServer, deployment: str, count: int
) -> None:
    said = traffic(deployment, 40 * count)
    # A broker delivers at least once, in any order, to any replica.
    waiting = [one for prediction in said for one in prediction] * 2
    chosen = random.Random(count)
    chosen.shuffle(waiting)
    half = len(waiting) // 2
    async with replicas(server.url, count) as running, aiohttp.ClientSession() as session:

        async def send() -> None:
            while waiting:
                one = waiting.pop()
                while not await delivered(one):
                    await asyncio.sleep(0.05)

        async def delivered(one: Event) -> bool:
            url = chosen.choice(list(running))
            try:
                async with session.post(url, headers=one.headers(), data=one.body) as answer:
                    assert answer.status in (202, 503), await answer.text()
                    return answer.status == 202
            except aiohttp.ClientError:
                return False

        sending = [asyncio.create_task(send()) for _ in range(_SENDERS)]
        async with asyncio.timeout(120):
            while len(waiting) > half:
                await asyncio.sleep(0.01)
            next(iter(running.values())).kill()
            await roll_over(server, log_of(deployment))
            await asyncio.gather(*sending)
            wanted = sorted(expected(said).items(), key=str)
            while await there(server, deployment) != wanted:
                await asyncio.sleep(0.5)  # until feedback that was too early found its answer
