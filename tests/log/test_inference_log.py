from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, Elasticsearch
from elasticsearch.helpers import async_scan

from closedloop.log import counts, inference_log, pages
from closedloop.log.inference_log import InferenceLog
from closedloop.loop.documents import read_document, row_in
from closedloop.loop.keys import Predictor
from closedloop.loop.sections import Document
from tests.services.metrics_server.running import answer, documents_of, truth, write_log

PETS = Predictor("seldon", "pets", "default")
SHADOW = Predictor("seldon", "pets", "shadow")


def row(document: Document) -> object:
    return row_in(read_document(document), None)


async def ids(url: str, *only: Predictor, since: float | None = None) -> list[str]:
    async with AsyncElasticsearch(url) as client:
        return [name async for name, _ in InferenceLog(client, only).documents(since)]


async def test_reads_every_page(
    search: Elasticsearch, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_log, "PAGE", 10)
    names = {f"r-{i}" for i in range(25)}
    write_log(search, [answer("cat", request_id=name) for name in names])
    assert Counter(await ids(url)) == Counter(names)


@pytest.mark.parametrize("since", [None, 0.0])
async def test_pages_of_large_answers_are_short(
    search: Elasticsearch, url: str, monkeypatch: pytest.MonkeyPatch, since: float | None
) -> None:
    sizes = []

    def scanned(client: AsyncElasticsearch, **asked: Any) -> Any:
        sizes.append(asked["size"])
        return async_scan(client, **asked)

    monkeypatch.setattr(inference_log, "async_scan", scanned)
    monkeypatch.setattr(pages, "REQUEST_BYTES", 40_000)
    few = [answer("cat", request_id=f"s-{i}", predictor="shadow") for i in range(5)]
    write_log(search, [*few, *(answer("x" * 10_000, request_id=f"r-{i}") for i in range(7))])
    assert len(await ids(url, SHADOW, since=since)) == 5
    assert len(await ids(url, PETS, SHADOW, since=since)) == 12
    assert sizes[0] > 50
    assert sizes[1] == 3


async def test_reads_all_that_a_row_is_made_of(search: Elasticsearch, url: str) -> None:
    happened = [answer([1, 0, 0]), truth([0, 1, 0]), answer("cat", "dog", request_id="s")]
    write_log(search, happened)
    async with AsyncElasticsearch(url) as client:
        read = {name: row(document) async for name, document in InferenceLog(client).documents()}
    assert read == {name: row(held) for (_, name), held in documents_of(happened).items()}


async def test_leaves_payloads_where_they_are(search: Elasticsearch, url: str) -> None:
    write_log(search, [answer([1, 0, 0])])
    async with AsyncElasticsearch(url) as client:
        ((_, document),) = [read async for read in InferenceLog(client).documents()]
    assert "payload" not in str(document)


async def test_reads_only_what_was_logged_since(search: Elasticsearch, url: str) -> None:
    for second in (0, 1, 2):
        moment = datetime(2026, 1, 31, 12, 0, second, tzinfo=UTC)
        write_log(search, [answer("cat", request_id=f"at-{second}")], moment)
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
    assert set(await ids(url, since=noon + 1)) == {"at-1", "at-2"}


async def test_reads_only_the_predictors_named(search: Elasticsearch, url: str) -> None:
    write_log(search, [answer("cat"), answer("dog", request_id="s", predictor="shadow")])
    assert await ids(url, SHADOW) == ["s"]
    assert await ids(url, SHADOW, Predictor("not", "there", "yet")) == ["s"]


async def test_a_log_that_is_not_there_yet_is_empty(url: str) -> None:
    assert await ids(url) == []
    assert await ids(url, PETS) == []
    async with AsyncElasticsearch(url) as client:
        assert await InferenceLog(client).counts() == {}
        assert await InferenceLog(client, [PETS]).counts() == {}


async def test_counts_every_cell_of_every_predictor(
    search: Elasticsearch, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_PAGE", 2)
    happened = []
    for i, (predicted, actual) in enumerate(
        [("cat", "cat"), ("cat", "cat"), ("dog", "cat"), ("bird", "dog"), ("dog", "dog")]
    ):
        happened += [answer(predicted, request_id=f"r-{i}"), truth(actual, request_id=f"r-{i}")]
    happened += [answer("cat", predictor="shadow"), truth("dog", predictor="shadow")]
    happened.append(answer("cat", request_id="without truth"))
    write_log(search, happened)
    async with AsyncElasticsearch(url) as client:
        assert await InferenceLog(client).counts() == {
            PETS: {
                ("cell", "cat", "cat"): 2, ("cell", "dog", "cat"): 1, ("cell", "bird", "dog"): 1,
                ("cell", "dog", "dog"): 1, ("state", "scored"): 5, ("state", "unlabelled"): 1,
                ("correct", "true"): 3, ("correct", "false"): 2,
            },
            SHADOW: {
                ("cell", "cat", "dog"): 1, ("state", "scored"): 1, ("correct", "false"): 1,
            },
        }  # fmt: skip
