"""The speed at which the metrics server restores labelled rows, and the memory of each.

The rate is told against plain paging of the same fields of the same index, and
of whole documents, interleaved in one run.
"""

import asyncio
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterable, Iterator

from elasticsearch import AsyncElasticsearch, Elasticsearch
from elasticsearch.helpers import async_scan, bulk

from bench.load import service
from bench.metrics_server import loop
from closedloop.log.inference_log import InferenceLog
from closedloop.log.mapping import TEMPLATES
from closedloop.log.pages import PAGE
from closedloop.loop.documents import merge
from closedloop.loop.keys import INDEX_PATTERN, index_name
from closedloop.loop.observation import observe
from closedloop.loop.sections import Document, sections_of
from closedloop.services.metrics_server.state import State
from tests.elasticsearch import running_elasticsearch


def run(rows: int = 50_000, rounds: int = 3) -> dict[str, float]:
    """Rates are medians of `rounds` in rows per second, memory is in bytes per row."""
    with running_elasticsearch() as url:
        with Elasticsearch(url, request_timeout=120) as client:
            for name, template in TEMPLATES.items():
                client.indices.put_index_template(name=name, **template)
            with service("closedloop.services.metrics_server", ELASTICSEARCH_URL=url) as server:
                resident = server.resident_bytes
            bulk(client, _actions(rows), refresh=True)
        rates = asyncio.run(_rates(url, rows, rounds))
        begin = time.perf_counter()
        with service("closedloop.services.metrics_server", ELASTICSEARCH_URL=url) as server:
            seconds = time.perf_counter() - begin
            resident = server.resident_bytes - resident
        memory = asyncio.run(_memory(url))
    return {
        "restore_rows_per_second": rates["restore"],
        "paging_rows_per_second": rates["fields"],
        "paging_whole_documents_rows_per_second": rates["whole"],
        "restore_over_paging": rates["restore"] / rates["fields"],
        "restore_over_paging_whole_documents": rates["restore"] / rates["whole"],
        "start_to_ready_seconds": seconds,
        "state_bytes_per_row": memory / rows,
        "resident_bytes_per_row": resident / rows,
    }


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


async def _restore(client: AsyncElasticsearch, state: State | None = None) -> int:
    state = state or State(10_000_000)
    async for _, document in InferenceLog(client).documents():
        state.restore(document)
    return state.capacity.held


async def _count(read: AsyncIterable[object]) -> int:
    count = 0
    async for _ in read:
        count += 1
    return count


async def _memory(url: str) -> int:
    """Bytes that the restored state takes, as Python allocates them."""
    async with AsyncElasticsearch(url, request_timeout=120) as client:
        tracemalloc.start()
        state = State(10_000_000)
        await _restore(client, state)
        gc.collect()
        with_state = tracemalloc.get_traced_memory()[0]
        del state
        gc.collect()
        used = with_state - tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return used


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:])).items():
        print(f"{name:50} {value:10.2f}")
