"""The speed at which the metrics server restores labelled rows onto its disk.

The rate is told against plain paging of the same fields of the same index, and
of whole documents, interleaved in one run. The search server is a process of its own.
"""

import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from elasticsearch import AsyncElasticsearch, Elasticsearch
from elasticsearch.helpers import async_scan, bulk
from prometheus_client import CollectorRegistry

from bench._compiled import compiled
from bench.iris import loop
from bench.load import service
from closedloop.log.inference_log import InferenceLog
from closedloop.log.mapping import TEMPLATES
from closedloop.log.pages import PAGE
from closedloop.loop import rfc3339
from closedloop.loop.documents import merge
from closedloop.loop.keys import INDEX_PATTERN, index_name
from closedloop.loop.observation import observe
from closedloop.loop.sections import Document, sections_of
from closedloop.services.kit.service import event_loop
from closedloop.services.metrics_server.replay import Replay
from closedloop.services.metrics_server.state import State
from closedloop.services.metrics_server.store.store import open_store
from tests.elasticsearch import running_elasticsearch

_MEMORY = 64 << 20
_TICK = 0.005
_LOGGED_SECONDS = 86_400.0
_BATCH = 256  # events that a logger writes at the same moment
_SPAWN = multiprocessing.get_context("spawn")


def run(rows: int = 50_000, rounds: int = 5) -> dict[str, float]:
    """Medians of `rounds`: rates in rows per second, CPU of the reader in microseconds a row, and
    the longest time in which a restore let nothing else have its turn."""
    with _search_server() as url:
        with Elasticsearch(url, request_timeout=120) as client:
            for name, template in TEMPLATES.items():
                client.indices.put_index_template(name=name, **template)
            bulk(client, _actions(rows), refresh=True)
        with asyncio.Runner(loop_factory=event_loop) as runner:
            figures = runner.run(_figures(url, rows, rounds))
        with tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder:
            starts = [_start(url, folder) for _ in range(2)]
    return {
        **figures,
        "start_to_ready_seconds_without_file": starts[0],
        "start_to_ready_seconds_with_file": starts[1],
    }


@contextlib.contextmanager
def _search_server() -> Iterator[str]:
    """A search server that takes none of the reader's time; it ends with whoever asked for it."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve(pipe: "Connection[str, None]") -> None:
    with running_elasticsearch() as url, contextlib.suppress(EOFError):
        pipe.send(url)
        pipe.recv()


def _start(url: str, folder: str) -> float:
    compiled()  # takes a minute, the first time
    begin = time.perf_counter()
    server = "closedloop.services.metrics_server"
    with service(server, ELASTICSEARCH_URL=url, STATE_FOLDER=folder):
        return time.perf_counter() - begin


def _actions(rows: int) -> Iterator[dict[str, object]]:
    begin = time.time() - _LOGGED_SECONDS
    known: Document | None = None
    for i, event in enumerate(loop(rows)):
        (part,) = sections_of(observe(event))
        known, _ = merge(None if i % 2 == 0 else known, part)
        if i % 2:
            index = index_name(event.namespace, event.deployment, event.predictor)
            logged_at = begin + _LOGGED_SECONDS * (i // _BATCH * _BATCH) / (2 * rows)
            source = {**known, "logged_at": rfc3339.written(logged_at, "milliseconds")}
            yield {"_index": index, "_id": part.document_id, "_source": source}


async def _figures(url: str, rows: int, rounds: int) -> dict[str, float]:
    figures: defaultdict[str, list[float]] = defaultdict(list)
    async with AsyncElasticsearch(url, request_timeout=120) as client:
        for _ in range(rounds):
            whole = async_scan(client, index=INDEX_PATTERN, size=PAGE)
            with contextlib.ExitStack() as after:
                for name, read in (
                    ("restore", _restore(client, after, figures["longest_pause_milliseconds"])),
                    ("paging", _count(InferenceLog(client).documents())),
                    ("paging_whole_documents", _count(whole)),
                ):
                    begin, worked = time.perf_counter(), time.process_time()
                    count = await read
                    seconds, worked = time.perf_counter() - begin, time.process_time() - worked
                    if count != rows:
                        raise RuntimeError(f"{name} read {count} rows: {rows} were written")
                    figures[f"{name}_rows_per_second"].append(count / seconds)
                    figures[f"{name}_cpu_microseconds_per_row"].append(1e6 * worked / rows)
            restored, paged = (
                figures[f"{name}_rows_per_second"][-1] for name in ("restore", "paging")
            )
            figures["restore_over_paging"].append(restored / paged)
    return {name: statistics.median(values) for name, values in figures.items()}


async def _restore(
    client: AsyncElasticsearch, after: contextlib.ExitStack, pauses: list[float]
) -> int:
    """From opening an empty store until every row is committed; `after` closes and removes it."""
    folder = after.enter_context(tempfile.TemporaryDirectory(prefix="closedloop-bench-"))
    store = open_store(Path(folder), _MEMORY)
    after.callback(store.close)
    state = State(store)
    replay = Replay(
        InferenceLog(client), state, CollectorRegistry(), every=60, all_every=3600, quiet=3
    )
    reading = asyncio.create_task(replay.run())
    longest, last = 0.0, time.perf_counter()
    while not (replay.restored or reading.done()):
        await asyncio.sleep(_TICK)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    pauses.append(1e3 * (longest - _TICK))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    state.commit()
    return state.held


async def _count(read: AsyncIterable[object]) -> int:
    count = 0
    async for _ in read:
        count += 1
    return count


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:])).items():
        print(f"{name:50} {value:10.2f}")
