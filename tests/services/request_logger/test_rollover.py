"""A log that rolls over: one alias, several indices, and still one document for each row."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from elasticsearch import AsyncElasticsearch, Elasticsearch
from prometheus_client import CollectorRegistry

from closedloop.log.amendments import audit_trail
from closedloop.log.evaluate import evaluate
from closedloop.log.inference_log import InferenceLog
from closedloop.log.mapping import LOG, in_shards
from closedloop.log.operations import Operation, Result
from closedloop.log.templates import IndexTemplates
from closedloop.loop import events
from closedloop.loop.keys import Predictor
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.settings import Settings
from closedloop.services.request_logger.store import Store
from closedloop.services.request_logger.writer import Writer
from tests.elasticsearch import SearchServer
from tests.services.request_logger.running import (
    documents,
    entry_of,
    event,
    log_of,
    loop_of,
    running_logger,
    send_all,
)

POLICY = {"rollover_age": "30d", "rollover_size": "30gb"}


async def call(server: SearchServer, method: str, path: str, body: object) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.upstream + path, json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def roll_over(server: SearchServer, log: str, number: int = 2) -> None:
    """The change that Elasticsearch's rollover makes, which osmem has not: a new write index."""
    old, new = f"{log}-{number - 1:06d}", f"{log}-{number:06d}"
    await call(server, "PUT", f"/{new}", {})
    moved = [
        {"add": {"index": index, "alias": log, "is_write_index": index == new}}
        for index in (old, new)
    ]
    await call(server, "POST", "/_aliases", {"actions": moved})


async def sections(server: SearchServer, index: str) -> dict[str, set[str]]:
    """The sections of each document of an index."""
    found = await documents(server.url, index)
    names = {"request", "response", "feedback"}
    return {name: names & set(document) for name, document in found.items()}


WHOLE = {"request", "response", "feedback"}
ANSWERED = {"request", "response"}


async def test_old_truths_and_repeated_events_find_the_documents_of_older_indices(
    server: SearchServer, deployment: str
) -> None:
    log = log_of(deployment)
    said = {name: loop_of(name, deployment) for name in ("old", "older", "new")}
    async with running_logger(server.url, **POLICY) as logger, running_logger(server.url) as other:
        await logger.ready()
        assert set(await send_all(logger, [*said["old"][:2], *said["older"][:2]])) == {202}
        assert await send_all(other, said["older"][:1]) == [202]
        await roll_over(server, log)
        assert set(await send_all(logger, [*said["new"][:2], *said["old"]])) == {202}
        # This one does not know of the rollover yet; then of the first one, then of both.
        assert await send_all(other, said["new"]) == [202] * 3
        await roll_over(server, log, 3)
        assert await send_all(other, said["older"]) == [202] * 3
        assert await send_all(logger, loop_of("newest", deployment)[:1]) == [202]
        assert await send_all(logger, [said["older"][0], said["new"][0]]) == [202] * 2
        assert logger.sample("conflicts_total") == 0
    assert await sections(server, f"{log}-000001") == {"old": WHOLE, "older": WHOLE}
    assert await sections(server, f"{log}-000002") == {"new": WHOLE}
    assert await sections(server, f"{log}-000003") == {"newest": {"request"}}
    async with AsyncElasticsearch(server.url) as client:
        found = InferenceLog(client, [Predictor("seldon", deployment, "default")]).documents()
        assert sorted([name async for name, _ in found]) == ["new", "newest", "old", "older"]
    with Elasticsearch(server.url) as client:
        assert evaluate(client, "seldon", deployment).answered == 3
        for name in said:
            (version,) = audit_trail(client, "seldon", deployment, "default", name)
            assert version.current


async def test_every_index_of_a_log_gets_the_policy_and_its_alias(
    server: SearchServer, deployment: str
) -> None:
    log = log_of(deployment)
    async with running_logger(server.url, **POLICY) as logger:
        await logger.ready()
        assert set(await send_all(logger, loop_of("a", deployment))) == {202}
        await roll_over(server, log)
        assert set(await send_all(logger, loop_of("b", deployment))) == {202}
    put = server.lifecycle
    rollover = put[f"/_ilm/policy/{LOG}"]["policy"]["phases"]["hot"]["actions"]["rollover"]
    assert rollover == {"max_age": "30d", "max_primary_shard_size": "30gb"}
    for number in (1, 2):
        settings = put[f"/{log}-00000{number}/_settings"]
        assert settings == {"index.lifecycle": {"name": LOG, "rollover_alias": log}}
    assert in_shards(3)[LOG]["template"]["settings"]["number_of_shards"] == 3


async def test_an_alias_of_somebody_else_is_no_log(server: SearchServer, deployment: str) -> None:
    log = log_of(deployment)
    async with running_logger(server.url, **POLICY) as logger:
        await logger.ready()
        assert set(await send_all(logger, loop_of("a", deployment))) == {202}
        await roll_over(server, log)
        add = {"index": f"{log}-*", "alias": f"all-of-{deployment}"}
        await call(server, "POST", "/_aliases", {"actions": [{"add": add}]})
        assert set(await send_all(logger, loop_of("b", deployment))) == {202}
    said = server.lifecycle[f"/{log}-000002/_settings"]
    assert said["index.lifecycle"]["rollover_alias"] == log


class Overtaken(Store):
    """A store that another writer overtakes, once, between a read and its write."""

    overtake: Any = None

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        if self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            await overtake()
        return await super().write(operations)


@asynccontextmanager
async def writing(server: SearchServer) -> AsyncIterator[tuple[Writer, Overtaken]]:
    async with AsyncElasticsearch(server.url) as client:
        store = Overtaken(client, IndexTemplates(client, in_shards(1)), lifecycle=LOG)
        yield Writer(store, Metrics(CollectorRegistry(), depth=lambda: 0), Settings()), store


async def test_a_rollover_between_two_loggers_that_create_one_document_leaves_one(
    server: SearchServer, deployment: str
) -> None:
    log, name = log_of(deployment), uuid.uuid4().hex
    request, answer, feedback = loop_of(name, deployment)
    async with writing(server) as (slow, store), writing(server) as (fast, _):
        await fast.write([entry_of(loop_of("first", deployment)[0])])

        async def overtake() -> None:
            await fast.write([entry_of(request)])
            await roll_over(server, log)

        store.overtake = overtake
        entries = [entry_of(request), entry_of(answer)]
        await slow.write(entries)
        await slow.write([entry_of(feedback)])
    assert (await sections(server, f"{log}-000001"))[name] == WHOLE
    assert await sections(server, f"{log}-000002") == {}


async def test_feedback_of_several_rows_leaves_an_older_index_for_the_rows_of_its_answer(
    server: SearchServer, deployment: str
) -> None:
    log, two = log_of(deployment), [[1.0, 2.0], [3.0, 4.0]]
    answer = event(events.RESPONSE, {"data": {"ndarray": two}}, "batch", deployment=deployment)
    truths = {"truth": {"data": {"ndarray": [0, 1]}}}
    async with running_logger(server.url, **POLICY) as logger:
        await logger.ready()
        early = event(events.FEEDBACK, truths, "batch", deployment=deployment)
        assert await logger.send(early) == 202
        await roll_over(server, log)
        assert await logger.send(answer) == 202
        async with asyncio.timeout(60):
            while not logger.sample("feedback_rejoined_total"):
                await asyncio.sleep(0.05)
    assert await sections(server, f"{log}-000001") == {}
    both = {"response", "feedback"}
    assert await sections(server, f"{log}-000002") == {f"batch-item-{row}": both for row in (0, 1)}


async def test_a_log_counts_once_however_many_indices_it_has(
    server: SearchServer, deployment: str
) -> None:
    async with AsyncElasticsearch(server.url) as client:
        store, log = Store(client, lifecycle=LOG), log_of(deployment)

        async def logs() -> int:
            """The least bound under which there may be one more, less that one."""
            most = 1
            while await store.without_room({f"{log}-more"}, most):
                most += 1
            return most - 1

        before = await logs()
        await store.begin([log])
        await roll_over(server, log)
        assert await logs() == before + 1


async def test_of_two_documents_of_one_row_the_older_one_counts(
    server: SearchServer, deployment: str
) -> None:
    async with AsyncElasticsearch(server.url) as client:
        store, log = Store(client, lifecycle=LOG), log_of(deployment)
        await store.begin([log])
        await roll_over(server, log)
        for number in (1, 2):
            await client.index(index=f"{log}-00000{number}", id="a", document={"n": number})
        known = (await store.read([(log, "a")])).documents[log, "a"]
        assert known is not None
        assert (known.index, known.source) == (f"{log}-000001", {"n": 1})
