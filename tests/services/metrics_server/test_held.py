"""The server with its rows on disk."""

from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest
from elasticsearch import AsyncElasticsearch, Elasticsearch

from closedloop.log.inference_log import InferenceLog
from closedloop.services.metrics_server.store.engine import Damaged, Engine, Unwritable
from tests.services.metrics_server.running import answer, running_server, truth, write_log


def failing(self: Engine, *_: object) -> None:
    raise Unwritable("IO error: No space left on device")


def unreadable(self: Engine, _: bytes) -> None:
    raise Damaged("Corruption: block checksum mismatch")


async def test_with_its_file_it_reads_only_what_was_written_since(
    search: Elasticsearch, url: str, tmp_path: Path
) -> None:
    happened = [answer("cat"), truth("cat")]
    write_log(search, happened)
    async with running_server(url, state_folder=str(tmp_path)) as server:
        await server.until_ready()
        assert server.sample("restore_documents", documents="there") == 1
    # Nothing of it is in the log any more, and nothing has to be.
    search.indices.delete(index="inference-log-seldon-*", expand_wildcards="all")
    later = [answer("dog", request_id="s"), truth("dog", request_id="s")]
    write_log(search, later)
    async with running_server(url, state_folder=str(tmp_path)) as server:
        await server.until_ready()
        assert server.cells() == {("cat", "cat"): 1, ("dog", "dog"): 1}
        assert server.sample("restore_documents", documents="there") == 1


async def test_a_full_disk_is_told_and_events_are_sent_back(url: str, tmp_path: Path) -> None:
    async with running_server(url, state_folder=str(tmp_path)) as server:
        await server.until_ready()
        await server.send(answer("cat"))
        with patch.object(Engine, "commit", failing):
            await server.until(lambda: server.sample("store_writable") == 0)
            status, reason = await server.ready()
            assert (status, "No space left" in reason) == (503, True)
            assert await server.send(truth("cat")) == [503]
            assert server.of_pets("rows", state="unlabelled") == 1
        await server.until(lambda: server.sample("store_writable") == 1)
        assert await server.send(truth("cat")) == [202]
        assert server.cells() == {("cat", "cat"): 1}


async def test_a_disk_that_is_full_at_the_start_is_waited_for(url: str, tmp_path: Path) -> None:
    with patch.object(Engine, "_open", failing):
        async with running_server(url, state_folder=str(tmp_path)) as server:
            await server.until(lambda: server.sample("store_writable") == 0)
            assert "No space left" in (await server.ready())[1]
            assert await server.send(answer("cat")) == [503]


async def test_files_found_damaged_are_set_aside_and_all_is_read_again(
    search: Elasticsearch, url: str, tmp_path: Path
) -> None:
    write_log(search, [answer("cat"), truth("cat")])
    async with running_server(url, state_folder=str(tmp_path)) as server:
        await server.until_ready()
        with patch.object(Engine, "get", unreadable):
            assert await server.send(truth("dog", request_id="another")) == [503]
            assert "damaged" in (await server.ready())[1]
        await server.until((tmp_path / "rows-set-aside").is_dir)
        await server.until_ready()
        assert server.cells() == {("cat", "cat"): 1}
        assert await server.send(truth("dog", second=9)) == [202]


@pytest.mark.parametrize("days", [0, 1])
async def test_retention_lets_go_of_old_rows_and_keeps_their_counts(
    search: Elasticsearch, url: str, tmp_path: Path, days: float
) -> None:
    async with running_server(url, state_folder=str(tmp_path), retention_days=days) as server:
        await server.until_ready()
        await server.send(answer("cat"), truth("cat"))
        gone = 1 if days else 0
        await server.until(lambda: server.of_pets("rows_retired") == gone)
        assert server.cells() == {("cat", "cat"): 1}
        assert server.sample("rows_held") == 1 - gone


async def test_several_shards_are_read_each_on_its_own_and_each_row_once(
    search: Elasticsearch, url: str
) -> None:
    deployments = [f"d{number}" for number in range(6)]
    write_log(
        search,
        [
            one
            for name in deployments
            for number in range(20)
            for one in (
                answer("cat", deployment=name, request_id=f"r-{number}"),
                truth("cat", deployment=name, request_id=f"r-{number}"),
            )
        ],
    )
    async with AsyncElasticsearch(url) as client:
        log = InferenceLog(client)
        found = [document["Ce-Inferenceservicename"] async for _, document in log.documents()]
    assert Counter(found) == dict.fromkeys(deployments, 20)
