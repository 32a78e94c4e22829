"""A metrics server that begins anew beside a real search server, which may be away."""

import time

import pytest
from elasticsearch import Elasticsearch

from closedloop.log.pages import PAGE
from tests.elasticsearch import search_server
from tests.inference_log import put_templates
from tests.services.metrics_server.running import (
    NAMES,
    MetricsServer,
    answer,
    reward,
    running_server,
    truth,
    write_log,
)

HAPPENED = [
    answer("cat"),
    truth("dog"),
    truth("cat", second=2),
    answer([1, 0, 0], [0, 1, 0], request_id="batch"),
    truth(0, 2, request_id="batch"),
    answer("bird", request_id="paid"),
    reward(1, request_id="paid"),
    truth("cat", request_id="early"),
    answer("dog", predictor="shadow"),
    truth("cat", predictor="shadow"),
]


async def test_a_new_process_knows_what_the_old_one_did(search: Elasticsearch, url: str) -> None:
    write_log(search, HAPPENED)
    async with running_server(url) as server:
        await server.until_ready()
        restored = server.cells()
    async with running_server("http://127.0.0.1:9") as server:
        await server.send(*HAPPENED)
        assert server.cells() == {}
    assert restored == {("cat", "cat"): 2, ("dog", "bird"): 1, ("dog", "cat"): 1}


async def test_a_restart_in_the_middle_loses_and_doubles_nothing(
    search: Elasticsearch, url: str
) -> None:
    async with running_server(url) as server:
        await server.send(*HAPPENED[:6])
    write_log(search, HAPPENED[:5])
    async with running_server(url) as server:
        # The broker sends again what was not acknowledged, or was, and what came meanwhile.
        await server.send(*HAPPENED[4:])
        await server.until_ready()
        assert server.cells() == {("cat", "cat"): 2, ("dog", "bird"): 1, ("dog", "cat"): 1}
        assert (server.of_pets("correct"), server.of_pets("incorrect")) == (3, 1)
        assert server.of_pets("rows", state="unmatched") == 1


async def test_restores_more_than_one_page(search: Elasticsearch, url: str) -> None:
    rows = 2 * PAGE + 1
    happened = []
    for i in range(rows):
        happened += [answer(NAMES[i % 3], request_id=f"r-{i}"), truth("cat", request_id=f"r-{i}")]
    write_log(search, happened)
    async with running_server(url) as server:
        await server.until_ready()
        assert server.of_pets("rows", state="scored") == rows
        assert server.of_pets("correct") == (rows + 2) // 3


async def test_restores_only_what_the_filter_names(search: Elasticsearch, url: str) -> None:
    write_log(search, HAPPENED)
    async with running_server(url, filter="seldon/pets/shadow") as server:
        await server.until_ready()
        await server.send(answer("cat", request_id="s"), truth("cat", request_id="s"))
        assert server.cells() == {("dog", "cat"): 1}


async def test_finds_that_it_agrees_with_the_log(
    search: Elasticsearch, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("closedloop.services.metrics_server.held.QUIET_SECONDS", 0.0)
    write_log(search, HAPPENED)
    async with running_server(url, resync_seconds=0.05) as server:
        await server.until(lambda: server.of_pets("replay_mismatch") == 0)
        await server.send(truth("bird", second=50))
        await server.until(lambda: server.of_pets("replay_mismatch") == 4)


async def test_a_search_server_that_is_away_or_comes_back_empty() -> None:
    with search_server() as elastic:
        elastic.kill()
        async with running_server(elastic.url, resync_seconds=0.05) as server:
            await server.send(answer("cat"), truth("cat"))
            await server.until(lambda: server.sample("resync_errors_total"))
            status, reason = await server.ready()
            assert (status, server.cells()) == (503, {})
            assert "cannot restore from Elasticsearch" in reason
            elastic.start()
            await server.until_ready()
            assert server.cells() == {("cat", "cat"): 1}

            elastic.kill()
            failed = server.sample("resync_errors_total") or 0
            await server.until(lambda: (server.sample("resync_errors_total") or 0) > failed)
            back = time.monotonic()
            elastic.start()
            await server.until(lambda: last_read(server) > back)
            assert (await server.ready())[0] == 200
            assert server.cells() == {("cat", "cat"): 1}

            with Elasticsearch(elastic.url) as client:
                put_templates(client)
                write_log(client, [answer("dog", request_id="s"), truth("dog", request_id="s")])
            await server.until(lambda: server.of_pets("rows_healed_total") == 1)
            assert server.cells() == {("cat", "cat"): 1, ("dog", "dog"): 1}


def last_read(server: MetricsServer) -> float:
    """When the last read that succeeded began, or a little before, by the monotonic clock."""
    now = time.monotonic()
    return now - (server.sample("resync_lag_seconds") or now)
