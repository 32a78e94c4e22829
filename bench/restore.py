"""The speed at which the metrics server restores labelled rows onto its disk.

The rate is told against plain paging of the same fields of the same index, and
of whole documents, interleaved in one run.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterable, Iterator
from pathlib import Path

from elasticsearch import AsyncElasticsearch, Elasticsearch
from elasticsearch.helpers import async_scan, bulk

from bench.iris import loop
from bench.load import service
from closedloop.log.inference_log import InferenceLog
from closedloop.log.mapping import TEMPLATES
from closedloop.log.pages import PAGE
from closedloop.loop.documents import merge
from closedloop.loop.keys import INDEX_PATTERN, index_name
from closedloop.loop.observation import observe
from closedloop.loop.sections import Document, sections_of
from closedloop.services.metrics_server.state import State
from closedloop.services.metrics_server.store.store import open_store
from tests.elasticsearch import running_elasticsearch

_MEMORY = 64 << 20


def run(rows: int = 50_000, rounds: int = 3) -> dict[str, float]:
    """Rates are medians of `rounds` in rows per second."""
    with running_elasticsearch() as url:
        with Elasticsearch(url, request_timeout=120) as client:
            for name, template in TEMPLATES.items():
                client.indices.put_index_template(name=name, **template)
            bulk(client, _actions(rows), refresh=True)
        rates = asyncio.run(_rates(url, rows, rounds))
        with tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder:
            starts = [_start(url, folder) for _ in range(2)]
    return {
        "restore_rows_per_second": rates["restore"],
        "paging_rows_per_second": rates["fields"],
        "paging_whole_documents_rows_per_second": rates["whole"],
        "restore_over_paging": rates["restore"] / rates["fields"],
        "restore_over_paging_whole_documents": rates["restore"] / rates["whole"],
        "start_to_ready_seconds_without_file": starts[0],
        "start_to_ready_seconds_with_file": starts[1],
    }


def _start(url: str, folder: str) -> float:
    begin = time.perf_counter()
    server = "closedloop.services.metrics_server"
    with service(server, ELASTICSEARCH_URL=url, STATE_FOLDER=folder):
        return time.perf_counter() - begin


def _actions(rows: int) -> Iterator[dict[str, object]]:
    known: Document | None = None
    for i, event in enumerate(loop(rows)):
        (part,) = sections_of(observe(event))
        known, _ = merge(None if i % 2 == 0 else known, part)
        if i % 2:
            index = index_name(event.namespace, event.deployment, event.predictor)
            yield {"_index": index, "_id": part.document_id, "_source": known}


async def _rates(url: str, rows: int, rounds: int) -> dict[str, float]:
    rates: dict[str, list[float]] = {"restore": [], "fields": [], "whole": []}
    async with AsyncElasticsearch(url, request_timeout=120) as client:
        for _ in range(rounds):
            for name, read in (
                ("restore", _restore(client)),
                ("fields", _count(InferenceLog(client).documents())),
                ("whole", _count(async_scan(client, index=INDEX_PATTERN, size=PAGE))),
            ):
                begin = time.perf_counter()
                count = await read
                rates[name].append(count / (time.perf_counter() - begin))
                if count != rows:
                    raise RuntimeError(f"{name} read {count} rows: {rows} were written")
    return {name: statistics.median(values) for name, values in rates.items()}


async def _restore(client: AsyncElasticsearch) -> int:
    with tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder:
        store = open_store(Path(folder), _MEMORY)
        state = State(store)
        async for _, document in InferenceLog(client).documents():
            state.restore(document)
        state.commit()
        store.close()
        return state.held


async def _count(read: AsyncIterable[object]) -> int:
    count = 0
    async for _ in read:
        count += 1
    return count


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:])).items():
        print(f"{name:50} {value:10.2f}")
