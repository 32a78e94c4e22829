import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from closedloop.log.operations import Key, Operation, Result
from closedloop.log.store import Found
from closedloop.loop import events
from closedloop.services.request_logger.store import Store
from tests.elasticsearch import SearchServer
from tests.services.request_logger.running import (
    IRIS,
    documents,
    event,
    log_of,
    loop_of,
    running_logger,
    search,
    send_all,
)


async def test_one_prediction_is_one_document_in_seldons_shape(
    server: SearchServer, deployment: str
) -> None:
    async with running_logger(server.url) as logger:
        assert await send_all(logger, loop_of("puid-1", deployment)) == [202] * 3
    [(name, document)] = (await documents(server.url, log_of(deployment))).items()
    assert name == document["RequestId"] == "puid-1"
    assert document["request"]["payload"] == IRIS
    assert document["request"]["elements"] == {"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}
    assert document["response"]["instance"] == [0.1, 0.2, 0.7]
    assert document["feedback"]["truth"]["meta"]["tags"] == {"user": "Ann"}
    assert document["Ce-Inferenceservicename"] == deployment
    assert document["score"]["correct"] is True
    assert "logged_at" in document


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
async def test_the_three_events_make_one_document_in_whatever_order(
    server: SearchServer, deployment: str, order: tuple[int, ...]
) -> None:
    sent = loop_of("puid-1", deployment)
    async with running_logger(server.url) as logger:
        for i in order:
            assert await logger.send(sent[i]) == 202
    [document] = (await documents(server.url, log_of(deployment))).values()
    assert document["score"] == {
        "state": "scored", "correct": True, "predicted": "t:2", "actual": "t:2"
    }  # fmt: skip
    assert document["@timestamp"] == sent[0].time


async def test_a_batch_of_rows_is_a_document_for_each(
    server: SearchServer, deployment: str
) -> None:
    said = event(
        events.REQUEST, {"data": {"ndarray": [[1], [2], [3]]}}, "puid", deployment=deployment
    )
    async with running_logger(server.url) as logger:
        assert await logger.send(said) == 202
        assert logger.sample("documents_written_total") == 3
    found = await documents(server.url, log_of(deployment))
    assert {name: document["request"]["instance"] for name, document in found.items()} == {
        "puid-item-0": [1], "puid-item-1": [2], "puid-item-2": [3]
    }  # fmt: skip


async def test_older_truth_never_replaces_newer_and_is_kept_as_history(
    server: SearchServer, deployment: str
) -> None:
    def truth(value: int, second: int) -> events.Event:
        body = {"truth": {"data": {"ndarray": [value]}}}
        return event(events.FEEDBACK, body, "puid", deployment=deployment, second=second)

    async with running_logger(server.url) as logger:
        for sent in (truth(1, second=20), truth(2, second=30), truth(0, second=10)):
            assert await logger.send(sent) == 202
    [document] = (await documents(server.url, log_of(deployment))).values()
    assert document["feedback"]["instance"] == 2
    assert [old["instance"] for old in document["feedback_history"]] == [0, 1]


async def test_a_repeated_event_is_acknowledged_and_writes_nothing(
    server: SearchServer, deployment: str
) -> None:
    sent = loop_of("puid", deployment)
    async with running_logger(server.url) as logger:
        await send_all(logger, sent)
        before = await documents(server.url, log_of(deployment))
        written = logger.sample("documents_written_total")
        assert await send_all(logger, sent) == [202] * 3
        assert logger.sample("documents_written_total") == written
    assert await documents(server.url, log_of(deployment)) == before


async def test_feedback_that_speaks_of_no_row_is_acknowledged(
    server: SearchServer, deployment: str
) -> None:
    nothing = {"truth": {"data": {"ndarray": [None, None]}}}
    async with running_logger(server.url) as logger:
        sent = event(events.FEEDBACK, nothing, "puid", deployment=deployment)
        assert await logger.send(sent) == 202
    assert await documents(server.url, log_of(deployment)) == {}


async def test_a_thousand_predictions_at_once_are_exactly_a_thousand_documents(
    server: SearchServer, deployment: str
) -> None:
    sent = [one for i in range(1000) for one in loop_of(f"puid-{i}", deployment)]
    async with running_logger(server.url) as logger:
        assert set(await send_all(logger, sent)) == {202}
    found = await documents(server.url, log_of(deployment))
    assert len(found) == 1000
    assert all(document["score"]["correct"] for document in found.values())


async def test_a_large_batch_of_rows_that_nobody_waits_for_is_left(
    server: SearchServer, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = asyncio.Event()
    write = Store.write

    async def write_slowly(store: Store, operations: Sequence[Operation]) -> list[Result]:
        results = await write(store, operations)
        await given_up.wait()
        return results

    monkeypatch.setattr(Store, "write", write_slowly)
    rows = {"data": {"ndarray": [[i] for i in range(20_000)]}}
    large = event(events.REQUEST, rows, "large", deployment=deployment)
    small = event(events.REQUEST, IRIS, "small", deployment=deployment)
    async with running_logger(server.url, deadline_seconds=0.5) as logger:
        assert await logger.send(large) == 503
        given_up.set()
        while await logger.send(small) != 202:
            await asyncio.sleep(0.05)
        # At most the thousand that were under way.
        assert logger.sample("documents_written_total") <= 1001


async def test_two_loggers_that_write_one_document_lose_nothing(
    server: SearchServer, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_read = asyncio.Barrier(2)
    met: set[Store] = set()
    read = Store.read

    async def read_together(store: Store, keys: Sequence[Key]) -> Found:
        found = await read(store, keys)
        if store not in met:
            met.add(store)
            await both_have_read.wait()
        return found

    monkeypatch.setattr(Store, "read", read_together)

    def truth(second: int) -> events.Event:
        body = {"reward": second}
        return event(events.FEEDBACK, body, "puid", deployment=deployment, second=second)

    async with (
        running_logger(server.url, batch_events=3) as one,
        running_logger(server.url, batch_events=3) as other,
    ):
        halves = (
            send_all(one, [truth(i) for i in range(1, 60, 2)]),
            send_all(other, [truth(i) for i in range(2, 60, 2)]),
        )
        answers = await asyncio.gather(*halves)
        assert one.sample("conflicts_total") + other.sample("conflicts_total") > 0
    assert {status for half in answers for status in half} == {202}
    [document] = (await documents(server.url, log_of(deployment))).values()
    assert document["feedback"]["reward"] == 59
    assert [old["reward"] for old in document["feedback_history"]] == list(range(1, 59))


async def test_mappings_are_ours_and_payloads_decide_no_type(
    server: SearchServer, deployment: str
) -> None:
    odd = [
        event(events.REQUEST, {"data": {"ndarray": [[1]]}, "meta": {"x": 1}}, "a",
              deployment=deployment),
        event(events.REQUEST, {"jsonData": {"data": "text"}, "meta": "x"}, "b",
              deployment=deployment),
        event(events.FEEDBACK, {"reward": True, "truth": {"meta": 3}}, "a", deployment=deployment),
        event(events.FEEDBACK, {"reward": 0.5}, "b", deployment=deployment),
    ]  # fmt: skip
    async with running_logger(server.url) as logger:
        assert await send_all(logger, odd) == [202] * 4
        total: dict[str, Any] = {"sum": {"field": "feedback.reward"}}
        found = await search(server.url, log_of(deployment), aggs={"total": total})
    assert found["hits"]["total"]["value"] == 2
    assert found["aggregations"]["total"]["value"] == 1.5


async def test_a_reward_past_the_range_of_its_field_costs_no_document(
    server: SearchServer, deployment: str
) -> None:
    sent = event(events.FEEDBACK, {"reward": 1e300}, "puid", deployment=deployment)
    async with running_logger(server.url) as logger:
        assert await logger.send(sent) == 202
    assert "puid" in await documents(server.url, log_of(deployment))


async def test_what_was_written_last_is_found_by_logged_at(
    server: SearchServer, deployment: str
) -> None:
    request, response, _ = loop_of("puid", deployment)
    async with running_logger(server.url) as logger:
        await logger.send(request)
        [first] = (await documents(server.url, log_of(deployment))).values()
        await asyncio.sleep(0.005)  # the clock of logged_at ticks in milliseconds
        await logger.send(response)
    since = {"range": {"logged_at": {"gt": first["logged_at"]}}}
    assert "puid" in await documents(server.url, log_of(deployment), query=since)


async def test_ready_once_the_templates_are_in_place(server: SearchServer) -> None:
    async with running_logger(server.url) as logger:
        assert await logger.ready() == ""
        async with logger.client.get("/live") as answer:
            assert answer.status == 200


async def test_every_series_starts_at_zero(server: SearchServer) -> None:
    async with running_logger(server.url) as logger, logger.client.get("/metrics") as answer:
        text = await answer.text()
    names = ("deployment_name", "deployment_namespace", "predictor_name")
    other = ",".join(f'{name}="other"' for name in names)
    for series in (
        'closedloop_logger_events_received_total{type="feedback"} 0.0',
        "closedloop_logger_documents_written_total 0.0",
        'closedloop_logger_events_failed_total{reason="queue_full"} 0.0',
        f'closedloop_logger_dead_letters_total{{{other},reason="bad_json"}} 0.0',
        f"closedloop_logger_request_ids_reused_total{{{other}}} 0.0",
        "closedloop_declarations_invalid 0.0",
        "closedloop_logger_queue_depth 0.0",
        "closedloop_logger_event_seconds_count 0.0",
    ):
        assert series in text


async def test_documents_that_were_lost_are_written_when_their_events_come_again(
    server: SearchServer, deployment: str
) -> None:
    first, second = loop_of("puid-1", deployment), loop_of("puid-2", deployment)
    async with running_logger(server.url) as logger, AsyncElasticsearch(server.url) as client:
        assert await send_all(logger, [*first, *second]) == [202] * 6
        await client.indices.delete(index=log_of(deployment))
        for sent in (*first, *second):
            assert await logger.send(sent) == 202
    assert set(await documents(server.url, log_of(deployment))) == {"puid-1", "puid-2"}
