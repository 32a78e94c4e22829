"""Elasticsearch goes away, comes back empty, refuses one document; the logger goes on."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from elasticsearch import AsyncElasticsearch

from closedloop.log import portions
from closedloop.loop import events
from closedloop.loop.keys import DEAD_LETTERS
from tests.elasticsearch import SearchServer, search_server
from tests.services.request_logger.running import (
    IRIS,
    documents,
    event,
    log_of,
    loop_of,
    running_logger,
    send_all,
)


@pytest.fixture
def fragile() -> Iterator[SearchServer]:
    """A search server of the test's own, to be killed."""
    with search_server() as running:
        yield running


async def mapping_of(url: str, index: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/{index}/_mapping") as answer:
        mappings: dict[str, Any] = (await answer.json())[index]["mappings"]
        return mappings


async def test_feedback_about_large_requests_reads_a_few_of_them_at_once(
    server: SearchServer, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "REQUEST_BYTES", 64_000)
    read = []
    mget = AsyncElasticsearch.mget

    async def counted(client: AsyncElasticsearch, **asked: Any) -> Any:
        found = await mget(client, **asked)
        read.append(sum("_source" in each for each in found["docs"]))
        return found

    monkeypatch.setattr(AsyncElasticsearch, "mget", counted)
    picture = {"strData": "x" * 5_000}  # twice in the document, as payload and as row
    async with running_logger(server.url) as logger:
        for i in range(30):
            asked = event(events.REQUEST, picture, f"r-{i}", deployment=deployment)
            assert await logger.send(asked) == 202
        read.clear()
        judged = [loop_of(f"r-{i}", deployment)[2] for i in range(30)]
        assert await asyncio.gather(*map(logger.send, judged)) == [202] * 30
    assert max(read) <= 6
    assert sum(read) == 30
    found = await documents(server.url, log_of(deployment))
    assert sum("feedback" in document for document in found.values()) == 30


async def test_events_wait_while_elasticsearch_is_away(
    fragile: SearchServer, deployment: str
) -> None:
    async with running_logger(fragile.url) as logger:
        await logger.ready()
        fragile.kill()
        sending = asyncio.create_task(send_all(logger, loop_of("puid", deployment)))
        while logger.sample("queue_depth") < 3:
            await asyncio.sleep(0.01)
        await logger.ready()  # else no broker would try again
        fragile.start()
        assert await sending == [202] * 3
        await logger.ready()
    assert (await documents(fragile.url, log_of(deployment)))["puid"]["score"]["correct"] is True


@pytest.mark.parametrize("first_error", ["away", "unreachable"])
async def test_what_elasticsearch_does_not_take_in_time_goes_back_to_the_broker(
    fragile: SearchServer, deployment: str, first_error: str
) -> None:
    # Away: a proxy in front answers 503. Unreachable: nobody listens.
    url = fragile.url if first_error == "away" else fragile.upstream
    fragile.kill()
    async with running_logger(url, deadline_seconds=0.3) as logger:
        assert await send_all(logger, loop_of("puid", deployment)) == [503] * 3
        assert logger.sample("events_failed_total", reason="unavailable") == 3
        assert logger.sample("queue_depth") == 0


async def test_a_search_server_that_never_answers_holds_no_event_past_its_deadline(
    deployment: str,
) -> None:
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forever.wait()
        writer.close()

    forever = asyncio.Event()
    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    host, port = silent.sockets[0].getsockname()
    async with running_logger(f"http://{host}:{port}", deadline_seconds=0.3) as logger:
        async with asyncio.timeout(60):
            assert await send_all(logger, loop_of("puid", deployment)) == [503] * 3
    forever.set()
    silent.close()


async def test_a_full_queue_answers_at_once(fragile: SearchServer, deployment: str) -> None:
    fragile.kill()
    async with running_logger(fragile.url, queue_events=2) as logger:
        first, second, third = loop_of("puid", deployment)
        waiting = [asyncio.create_task(logger.send(one)) for one in (first, second)]
        while logger.sample("queue_depth") < 2:
            await asyncio.sleep(0.01)
        assert await logger.send(third) == 503
        assert not any(one.done() for one in waiting)
        assert logger.sample("events_failed_total", reason="queue_full") == 1
        fragile.start()
        assert await asyncio.gather(*waiting) == [202, 202]


async def test_a_search_server_that_came_back_empty_gets_our_mappings(
    fragile: SearchServer, deployment: str
) -> None:
    before, after = loop_of("before", deployment), loop_of("after", deployment)
    bad = event(events.REQUEST, b"{", "bad", deployment=deployment)
    async with running_logger(fragile.url) as logger:
        await send_all(logger, before)
        fragile.kill()
        fragile.start()
        # No waiting for readiness: the very first writes must find the templates.
        assert await send_all(logger, [bad]) == [202]
        assert await send_all(logger, after) == [202] * 3
        await logger.ready()
    assert set(await documents(fragile.url, log_of(deployment))) == {"after"}
    mapping = await mapping_of(fragile.url, log_of(deployment))
    assert mapping["dynamic"] == "false"
    assert mapping["properties"]["feedback"]["properties"]["reward"]["type"] == "double"
    assert (await mapping_of(fragile.url, DEAD_LETTERS))["dynamic"] == "false"


async def test_a_document_that_is_refused_fails_alone(
    server: SearchServer, deployment: str
) -> None:
    """Someone else made the index, and its `feedback.reward` takes no number."""
    strict = {"properties": {"feedback": {"properties": {"reward": {"type": "ip"}}}}}
    async with (
        aiohttp.ClientSession() as session,
        session.put(
            f"{server.url}/{log_of(deployment)}", json={"mappings": {"dynamic": False, **strict}}
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()
    # "a" and "b" have a refused part beside two good ones.
    sent = [*loop_of("a", deployment), *loop_of("b", deployment)]
    sent += [event(events.REQUEST, IRIS, "c", deployment=deployment)]
    # One batch, however far apart they arrive: it is complete with the last of them.
    one_batch = {"batch_events": len(sent), "batch_milliseconds": 60_000}
    async with running_logger(server.url, **one_batch) as logger:
        assert await send_all(logger, sent) == [202] * 7
        assert logger.sample("events_failed_total", reason="rejected") == 2
        assert logger.sample("dead_letters_total", reason="rejected") == 2
    found = await documents(server.url, log_of(deployment))
    assert {name: set(document) & {"request", "response", "feedback"} for name, document
            in found.items()} == {
        "a": {"request", "response"}, "b": {"request", "response"}, "c": {"request"}
    }  # fmt: skip
    letters = await letters_of(server.url, deployment)
    assert [letter["reason"] for letter in letters] == ["rejected"] * 2
    assert "reward" in letters[0]["error"]
    assert json.loads(letters[0]["body"])["reward"] == 1


async def test_a_document_of_foreign_shape_costs_only_the_event_for_it(
    server: SearchServer, deployment: str
) -> None:
    async with running_logger(server.url) as logger:
        await logger.ready()
        foreign = f"{server.url}/{log_of(deployment)}/_doc/a"
        async with (
            aiohttp.ClientSession() as session,
            session.put(foreign, json={"response": {"ce-id": "x"}}) as answer,
        ):
            assert answer.status == 201
        sent = [event(events.FEEDBACK, {"reward": 1}, name, deployment=deployment) for name in "ab"]
        assert await send_all(logger, sent) == [202, 202]
    assert "b" in await documents(server.url, log_of(deployment))
    [letter] = await letters_of(server.url, deployment)
    assert letter["RequestId"] == "a"


async def letters_of(url: str, deployment: str) -> list[dict[str, Any]]:
    query = {"term": {"Ce-Inferenceservicename": deployment}}
    return list((await documents(url, DEAD_LETTERS, query=query)).values())
