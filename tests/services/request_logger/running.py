"""Loggers that run inside a test, the events for them, and what is then in Elasticsearch."""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from closedloop.loop import events
from closedloop.loop.events import Event
from closedloop.loop.keys import Predictor, index_name
from closedloop.loop.observation import observe
from closedloop.services.request_logger.app import create_app
from closedloop.services.request_logger.entry import Answer, Entry
from closedloop.services.request_logger.settings import Settings
from tests.services.serving import serving

IRIS = {"data": {"names": ["a", "b", "c", "d"], "ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
ANSWER = {"data": {"names": ["t:0", "t:1", "t:2"], "ndarray": [[0.1, 0.2, 0.7]]}, "meta": {}}
FEEDBACK = {"reward": 1, "truth": {"data": {"ndarray": [2]}, "meta": {"tags": {"user": "Ann"}}}}

_START = datetime(2026, 11, 23, 18, tzinfo=UTC)
_seconds = itertools.count(1)


def event(
    kind: str,
    body: object,
    request_id: str,
    *,
    deployment: str,
    second: int = 0,
    event_id: str = "",
) -> Event:
    """An event as the executor sends it; a later call gives a later time unless `second` is given.

    `body` is JSON unless it is bytes.
    """
    moment = _START + timedelta(seconds=second or next(_seconds))
    return Event(
        id=event_id or str(uuid.uuid4()),
        source="http://:8000/",
        type=kind,
        time=f"{moment:%Y-%m-%dT%H:%M:%S}.378621945Z",
        request_id=request_id,
        namespace="seldon",
        deployment=deployment,
        predictor="default",
        model="classifier",
        content_type="application/json",
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def loop_of(request_id: str, deployment: str) -> list[Event]:
    """Request, answer and feedback of one prediction."""
    said = ((events.REQUEST, IRIS), (events.RESPONSE, ANSWER), (events.FEEDBACK, FEEDBACK))
    return [event(kind, body, request_id, deployment=deployment) for kind, body in said]


class Logger:
    """A running logger: send to it, read its metrics."""

    def __init__(
        self, client: aiohttp.ClientSession, port: int, registry: CollectorRegistry
    ) -> None:
        self.client = client
        self.port = port
        self.registry = registry

    async def send(self, sent: Event) -> int:
        """The status of the answer, whose body must be empty on success."""
        return await self.post("/", sent.headers(), sent.body)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        async with self.client.post(path, headers=headers, data=body) as answer:
            text = await answer.text()
            assert (text == "") == (answer.status == 202), text
            return answer.status

    async def ready(self, status: int = 200) -> str:
        """Wait for this status of `/ready`; its text."""
        async with asyncio.timeout(60):
            while True:
                async with self.client.get("/ready") as answer:
                    if answer.status == status:
                        return await answer.text()
                await asyncio.sleep(0.02)

    def sample(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels, whatever else they have."""
        whole = f"closedloop_logger_{name}"
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == whole and labels.items() <= sample.labels.items()
        )


class Asked(Entry):
    """An entry that keeps its answer."""

    def __init__(self, body: bytes, *, deadline: float = 60, **given: Any) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        super().__init__(
            given.pop("headers", {}),
            body,
            received=time.monotonic(),
            deadline=time.monotonic() + deadline,
            answered=lambda _, answer: self.answer.set_result(answer),
            **given,
        )


def entry_of(said: Event) -> Asked:
    """An accepted event on its way to Elasticsearch."""
    owner = Predictor(said.namespace, said.deployment, said.predictor)
    return Asked(said.body, headers=said.headers(), owner=owner, observation=observe(said))


@asynccontextmanager
async def running_logger(url: str, **settings: Any) -> AsyncIterator[Logger]:
    registry = CollectorRegistry()
    # A loaded machine must not turn a slow write into a refusal, unless that is the test.
    chosen = Settings(elasticsearch_url=url, **{"deadline_seconds": 60.0, **settings})
    app = create_app(chosen, registry)
    async with (
        serving(app) as (_, port),
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=200)
        ) as client,
    ):
        yield Logger(client, port, registry)


async def send_all(logger: Logger, sent: Iterable[Event]) -> list[int]:
    """Send at once; the statuses."""
    return await asyncio.gather(*(logger.send(one) for one in sent))


def log_of(deployment: str) -> str:
    """The index of a deployment's log."""
    return index_name("seldon", deployment, "default")


async def search(url: str, index: str, **body: Any) -> dict[str, Any]:
    """The answer to a search of `index`, which need not exist."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/{index}/_search",
            json={"size": 1000, **body},
            params={"ignore_unavailable": "true"},
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def documents(url: str, index: str, **body: Any) -> dict[str, dict[str, Any]]:
    """Documents by id."""
    found = await search(url, index, **body)
    return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}
