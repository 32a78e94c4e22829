"""Documents per second through the request logger, against raw `_bulk` of the same documents.

Everything is measured in one run, interleaved, each time on an empty index, and only the ratios
mean something: they compare the rates that the same machine did at the same time. The server is
the embedded platform's, or the one at `CLOSEDLOOP_ELASTICSEARCH_URL`, where the benchmark has an
index of its own and deletes it.

The load comes from a process of its own, over many connections, in the order in which events
happen: request and answer of each prediction, and later feedback on all. So each document is
written twice, and `_bulk` writes the same: as it is with the answer, then with the feedback. The
logger cannot write more documents at once than its connections have under way: two events of an
answer's, one of feedback's. `_bulk` of so many tells the part of the search server.

What is `apart` was measured with the search server on a core of its own, and sender and logger on
the others, as it is with servers: else the cores that they take are not the server's, which
`_bulk` has all of. It needs two cores, and of a server of your own the process id, in
`CLOSEDLOOP_ELASTICSEARCH_PID`. Then the CPU that the server takes is told as well: `_bulk`'s over
the logger's is what the logger would reach if the server were all that there is to wait for.

To a sink that only acknowledges it is told against the empty handlers of aiohttp and of uvicorn,
the fastest (`bench/servers.py`), and against the checkout that `BASE` in the environment names, if
any. `cpu` is the time of the logger's process alone, which a busy machine changes least.
"""

import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import requests
from aiohttp import web
from elasticsearch import Elasticsearch

from bench import servers
from bench.iris import event
from bench.load import Server, application, empty_handler, rendered, send, service
from closedloop.log.mapping import TEMPLATES
from closedloop.log.operations import logged
from closedloop.loop import events
from closedloop.loop.documents import merge
from closedloop.loop.events import Event
from closedloop.loop.keys import index_name
from closedloop.loop.observation import observe
from closedloop.loop.sections import Document, sections_of
from tests.elasticsearch import search_server

# Of the last there are twice the events of a write, so that there is always a batch waiting.
_CONNECTIONS = {"few": 24, "many": 512, "logger": 4000}
# Documents of a `_bulk` request, with answers and with feedback: 500 as the official client's
# `helpers.bulk` sends them, 1,000, and those of the connections.
_BULK = {"raw": (500, 500), "raw_large": (1000, 1000), "raw_few": (12, 24), "raw_many": (256, 512)}
_EMPTY = ("aiohttp", "uvicorn")
_DEPLOYMENT = "benchmark"
_INDEX = index_name("seldon", _DEPLOYMENT, "default")
_OWN = os.environ.get("CLOSEDLOOP_ELASTICSEARCH_URL", "").rstrip("/")
_OWN_PID = int(os.environ.get("CLOSEDLOOP_ELASTICSEARCH_PID", "0"))
_APART = ("raw", "raw_large", "many", "logger")
_WARM = 30.0  # seconds of `_bulk` before a server is measured that may have just begun


def run(predictions: int = 6000, rounds: int = 3) -> dict[str, float]:
    """Rates are medians of `rounds`, in documents written or events per second."""
    answered, judged = _events(predictions)
    documents = _merged(answered), _merged([*answered, *judged])
    sent = [rendered(event) for event in answered], [rendered(event) for event in judged]
    seconds: dict[str, list[float]] = {}

    def took(name: str, measured: float) -> None:
        seconds.setdefault(name, []).append(measured)

    def into_server(name: str, server: _Search, suffix: str = "") -> None:
        """The seconds of both halves, and the CPU of the server and of the logger."""
        with ExitStack() as stack:
            logger = None
            connections = _CONNECTIONS.get(name, 0)
            if connections:
                logger = stack.enter_context(
                    service("closedloop.services.request_logger", ELASTICSEARCH_URL=server.url)
                )
            before = server.cpu_seconds, logger.cpu_seconds if logger else 0.0
            if logger:
                answers, feedback = (send(logger.url, half, connections) for half in sent)
                took(f"{name}_cpu{suffix}", logger.cpu_seconds - before[1])
            else:
                sizes = _BULK[name]
                answers = _bulk(server.raw, "create", documents[0], sizes[0])
                feedback = _bulk(server.raw, "index", documents[1], sizes[1])
            took(f"{name}_server{suffix}", server.cpu_seconds - before[0])
            took(f"{name}_answers{suffix}", answers)
            took(f"{name}_feedback{suffix}", feedback)
            took(f"{name}{suffix}", answers + feedback)
        server.check(predictions)

    begun = time.perf_counter()
    while _OWN and time.perf_counter() - begun < _WARM:
        with _empty_server() as server:
            _bulk(server.raw, "create", documents[0], 500)
    for _ in range(rounds):
        for name in (*_BULK, *_CONNECTIONS):
            with _empty_server() as server:
                into_server(name, server)
        for name in _APART:
            with _empty_server() as server, _apart(server.pid) as possible:
                if possible:
                    into_server(name, server, "_apart")
        targets = {
            "sink": _to_sink(),
            "aiohttp": application(empty_handler),
            "uvicorn": servers.empty("uvicorn"),
        }
        if path := os.environ.get("BASE"):
            targets["base"] = _to_sink(PYTHONPATH=f"{path}/src")
        for name, target in targets.items():
            with target as one:
                before = one.cpu_seconds
                took(name, send(one.url, sent[0], _CONNECTIONS["many"]))
                took(f"{name}_cpu", one.cpu_seconds - before)
    return _rates(seconds, predictions)


def _rates(seconds: dict[str, list[float]], predictions: int) -> dict[str, float]:
    def rate(name: str, count: int) -> float:
        return count / statistics.median(seconds[name])

    def ratio(name: str, base: str) -> float:
        """The ratio of each round, so that a slow round slows both."""
        pairs = zip(seconds[base], seconds[name], strict=True)
        return statistics.median(slow / fast for slow, fast in pairs)

    against = {
        f"sink_over_{name}{how}": ratio(f"sink{cpu}", f"{other}{cpu}")
        for other, name in [*((each, f"{each}_empty_handler") for each in _EMPTY), ("base", "base")]
        if other in seconds
        for how, cpu in (("", ""), ("_by_cpu", "_cpu"))
    }
    empty = {
        f"{name}_empty_handler_events_per_second": rate(name, 2 * predictions) for name in _EMPTY
    }
    apart = {
        f"logger_of_{_CONNECTIONS[one]}_connections_over_{bulk}{how}": (
            f"{one}{cpu}_apart",
            f"{raw}{cpu}_apart",
        )
        for one in ("many", "logger")
        for raw, bulk in (("raw", "raw_bulk"), ("raw_large", "raw_bulk_of_1000"))
        for how, cpu in (("_apart", ""), ("_by_cpu_of_the_server", "_server"))
    }
    cpu = {
        "of_24_connections": rate("few_cpu", 3 * predictions),
        "of_512_connections": rate("many_cpu", 3 * predictions),
        "to_sink": rate("sink_cpu", 2 * predictions),
        **{f"{name}_empty_handler": rate(f"{name}_cpu", 2 * predictions) for name in _EMPTY},
    }
    return {
        "raw_documents_per_second": rate("raw", 2 * predictions),
        "raw_large_documents_per_second": rate("raw_large", 2 * predictions),
        "raw_documents_per_second_as_of_24_connections": rate("raw_few", 2 * predictions),
        "raw_documents_per_second_as_of_512_connections": rate("raw_many", 2 * predictions),
        "logger_documents_per_second": rate("logger", 2 * predictions),
        "logger_events_per_second": rate("logger", 3 * predictions),
        "logger_events_per_second_of_24_connections": rate("few", 3 * predictions),
        "logger_events_per_second_of_512_connections": rate("many", 3 * predictions),
        "logger_of_512_connections_over_raw_bulk": ratio("many", "raw"),
        "logger_of_512_connections_over_raw_bulk_of_1000": ratio("many", "raw_large"),
        "logger_of_24_connections_over_raw_bulk_of_as_many": ratio("few", "raw_few"),
        "logger_of_512_connections_over_raw_bulk_of_as_many": ratio("many", "raw_many"),
        **{f"cpu_microseconds_an_event_{name}": 1e6 / each for name, each in cpu.items()},
        "logger_events_to_sink_per_second": rate("sink", 2 * predictions),
        **empty,
        "logger_over_raw_bulk": ratio("logger", "raw"),
        "logger_over_raw_bulk_answers_only": ratio("logger_answers", "raw_answers"),
        "logger_over_raw_bulk_feedback_only": ratio("logger_feedback", "raw_feedback"),
        "logger_over_raw_bulk_of_1000": ratio("logger", "raw_large"),
        **against,
        **{name: ratio(*names) for name, names in apart.items() if names[0] in seconds},
    }


def _events(predictions: int) -> tuple[list[Event], list[Event]]:
    """Requests and answers in turn, and the feedback."""
    answered, judged = [], []
    for i in range(predictions):
        request_id = str(uuid.uuid4())
        answered.append(event(events.REQUEST, request_id, i, _DEPLOYMENT))
        answered.append(event(events.RESPONSE, request_id, i, _DEPLOYMENT))
        judged.append(event(events.FEEDBACK, request_id, i, _DEPLOYMENT))
    return answered, judged


def _merged(said: Sequence[Event]) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for one in said:
        for part in sections_of(observe(one)):
            documents[part.document_id], _ = merge(documents.get(part.document_id), part)
    return {name: logged((_INDEX, name), document) for name, document in documents.items()}


def _bulk(url: str, action: str, documents: dict[str, Document], size: int) -> float:
    """Seconds that `_bulk` takes for the documents, one connection, `size` at a time."""
    lines = [
        json.dumps({action: {"_index": _INDEX, "_id": name}}) + "\n" + json.dumps(document) + "\n"
        for name, document in documents.items()
    ]
    bodies = ["".join(lines[i : i + size]).encode() for i in range(0, len(lines), size)]
    headers = {"content-type": "application/x-ndjson"}
    with requests.Session() as session:
        start = time.perf_counter()
        for body in bodies:
            answer = session.post(f"{url}/_bulk?filter_path=errors", body, headers=headers)
            assert answer.json() == {"errors": False}
        return time.perf_counter() - start


class _Search(NamedTuple):
    """A search server: its URL, the one for raw requests, and its process, 0 if not known."""

    url: str
    raw: str
    pid: int

    @property
    def cpu_seconds(self) -> float:
        return Server(self.raw, self.pid).cpu_seconds if self.pid else 0.0

    def check(self, predictions: int) -> None:
        """Raise RuntimeError unless all of them are there."""
        with Elasticsearch(self.url) as client:
            client.indices.refresh(index=_INDEX)
            count = client.count(index=_INDEX)["count"]
        if count != predictions:
            raise RuntimeError(f"{count} documents are there: {predictions} were expected")


@contextmanager
def _apart(pid: int) -> Iterator[bool]:
    """A server on a core of its own, and what begins inside on the others; whether it can be."""
    cores = os.sched_getaffinity(0)
    if not pid or len(cores) < 2:
        yield False
        return
    own = {min(cores)}
    try:
        _keep(pid, own)
        os.sched_setaffinity(0, cores - own)
        yield True
    finally:
        os.sched_setaffinity(0, cores)
        _keep(pid, cores)


def _keep(pid: int, cores: set[int]) -> None:
    """Have all threads of a process run on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def _empty_server() -> Iterator[_Search]:
    """A search server without these documents."""
    with ExitStack() as stack:
        found = _Search(_OWN, _OWN, _OWN_PID)
        if not _OWN:
            server = stack.enter_context(search_server())
            found = _Search(server.url, server.upstream, server.pid)
        client = stack.enter_context(Elasticsearch(found.url))
        for name, template in TEMPLATES.items():
            client.indices.put_index_template(name=name, **template)
        client.indices.delete(index=_INDEX, ignore_unavailable=True)
        stack.callback(client.indices.delete, index=_INDEX, ignore_unavailable=True)
        yield found


@contextmanager
def _to_sink(**settings: str) -> Iterator[Server]:
    """A logger before a sink that only acknowledges."""
    with (
        application(_sink) as sink,
        service(
            "closedloop.services.request_logger", ELASTICSEARCH_URL=sink.url, **settings
        ) as logger,
    ):
        yield logger


def _sink() -> web.Application:
    """An Elasticsearch that knows nothing and says yes to everything at once."""

    async def known(request: web.Request) -> web.Response:
        asked = json.loads(await request.read())["docs"]
        return _json({"docs": [{**one, "found": False} for one in asked]})

    async def written(request: web.Request) -> web.Response:
        lines = (await request.read()).count(b"\n")
        return _json({"items": [{"create": {"status": 201}}] * (lines // 2)})

    async def nothing(_: web.Request) -> web.Response:
        return _json({"hits": {"hits": []}})

    async def no_alias(_: web.Request) -> web.Response:
        return _json({})

    async def template(_: web.Request) -> web.Response:
        return _json({"acknowledged": True})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/_mget", known)
    app.router.add_post("/_bulk", written)
    app.router.add_route("*", "/_index_template/{name}", template)
    app.router.add_post("/{indices}/_search", nothing)
    app.router.add_get("/{indices}/_alias", no_alias)
    app.router.add_post("/{indices}/_refresh", template)
    return app


def _json(body: object) -> web.Response:
    return web.json_response(body, headers={"x-elastic-product": "Elasticsearch"})


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:])).items():
        print(f"{name:45} {value:10.2f}")
