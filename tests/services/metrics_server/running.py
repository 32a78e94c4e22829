"""Metrics servers that run inside a test, the events for them, and a log to restore from."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import aiohttp
from elasticsearch import Elasticsearch
from prometheus_client import CollectorRegistry

from closedloop.loop import events, rfc3339
from closedloop.loop.events import Event
from closedloop.loop.sections import Document
from closedloop.services.metrics_server import replay
from closedloop.services.metrics_server.app import create_app
from closedloop.services.metrics_server.held import HeldRows
from closedloop.services.metrics_server.replay import Replay
from closedloop.services.metrics_server.settings import Settings
from closedloop.services.metrics_server.state import State
from tests.inference_log import Log
from tests.services.serving import serving

NAMES = ["cat", "dog", "bird"]
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def event(
    kind: str,
    message: object,
    request_id: str = "r",
    *,
    second: int = 0,
    deployment: str = "pets",
    predictor: str = "default",
    event_id: object = None,
) -> Event:
    """An event; `message` is JSON unless it is bytes."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Event(
        id=str(event_id or uuid.uuid4()),
        source="http://:8000/",
        type=kind,
        time=rfc3339.written(START + timedelta(seconds=second)),
        request_id=request_id,
        namespace="seldon",
        deployment=deployment,
        predictor=predictor,
        model="classifier",
        content_type="application/json",
        body=body,
    )


def answer(*rows: object, names: Iterable[str] = NAMES, **where: Any) -> Event:
    """An answer of so many rows of scores, class names or class indices."""
    data = {"names": list(names), "ndarray": list(rows)}
    return event(events.RESPONSE, {"data": data}, **where)


def truth(*rows: object, second: int = 1, **where: Any) -> Event:
    message = {"truth": {"data": {"ndarray": list(rows)}}}
    return event(events.FEEDBACK, message, second=second, **where)


def reward(value: float, second: int = 1, **where: Any) -> Event:
    return event(events.FEEDBACK, {"reward": value}, second=second, **where)


def write_log(
    client: Elasticsearch, happened: Iterable[Event], logged_at: datetime | None = None
) -> None:
    """Write the documents of a request logger that saw these events, by its clock."""
    log = Log(output=None)
    for one in happened:
        log.observe(one)
    moment = rfc3339.written(logged_at or datetime.now(UTC), "milliseconds")
    log.logger.look()
    for document in log.documents.values():
        document["logged_at"] = moment
    log.write(client)


def documents_of(happened: Iterable[Event]) -> dict[tuple[str, str], Document]:
    """The same by (index, document id), unwritten."""
    log = Log(output=None)
    for one in happened:
        log.observe(one)
    log.logger.look()
    return log.documents


class Restored(HeldRows):
    """The source that a state is, with no task that reads the log."""

    def __init__(self, state: State, restored: bool = True) -> None:
        self.state = state
        self._replay = cast(Replay, SimpleNamespace(restored=restored))


class MetricsServer:
    """A running server: send to it, read its metrics."""

    def __init__(self, client: aiohttp.ClientSession, port: int, registry: Any) -> None:
        self.client = client
        self.port = port
        self.registry: CollectorRegistry = registry

    async def send(self, *sent: Event) -> list[int]:
        """The statuses of the answers, whose bodies must be empty on success."""
        statuses = []
        for one in sent:
            async with self.client.post("/", headers=one.headers(), data=one.body) as said:
                assert (await said.read() == b"") == (said.status == 202)
                statuses.append(said.status)
        return statuses

    async def ready(self) -> tuple[int, str]:
        async with self.client.get("/ready") as said:
            return said.status, await said.text()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.02)

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while (await self.ready())[0] != 200:
                await asyncio.sleep(0.02)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"closedloop_{name}", labels)

    def of_pets(self, name: str, **labels: str) -> float | None:
        """A sample of the predictor that events are about unless they say otherwise."""
        return self.sample(
            name,
            deployment_namespace="seldon",
            deployment_name="pets",
            predictor_name="default",
            **labels,
        )

    def refused(self) -> dict[str, float]:
        """How many events were refused for each reason there was, of all predictors together."""
        counted: dict[str, float] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name == "closedloop_refused_events_total" and sample.value:
                    reason = sample.labels["reason"]
                    counted[reason] = counted.get(reason, 0) + sample.value
        return counted

    def cells(self) -> dict[tuple[str, str], float]:
        """The confusion matrix of every predictor together, by (predicted, actual)."""
        counted: dict[tuple[str, str], float] = {}
        for family in self.registry.collect():
            if family.name == "closedloop_confusion_matrix":
                for sample in family.samples:
                    cell = sample.labels["predicted"], sample.labels["actual"]
                    counted[cell] = counted.get(cell, 0) + sample.value
        return counted


@asynccontextmanager
async def running_server(url: str, **settings: Any) -> AsyncIterator[MetricsServer]:
    """A server; no resync is due within a test unless `resync_seconds` says so.

    Its garbage collection after a restore is left out: it would visit the objects of
    every test before, which takes longer than most tests.
    """
    registry = CollectorRegistry()
    settings = {"resync_seconds": 3600.0, **settings}
    app = create_app(Settings(elasticsearch_url=url, **settings), registry)
    with patch.object(replay, "_spare_rows"):
        async with (
            serving(app) as (_, port),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        ):
            yield MetricsServer(client, port, registry)
