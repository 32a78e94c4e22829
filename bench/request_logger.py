"""Documents per second through the request logger, against raw `_bulk` of the same documents.

Everything is measured in one run, interleaved, each time on an empty search
server, and only the ratios mean something: they compare what the same machine
did at the same time. The load comes from a process of its own, over as many
connections as a broker's dispatcher may open, in the order in which events
happen: request and answer of each prediction, and later feedback on all.
"""

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from aiohttp import web
from elasticsearch import Elasticsearch

from closedloop import events
from closedloop.documents import Document, index_name, merge, parts_of
from closedloop.events import Event
from closedloop.request_logger.mapping import TEMPLATES
from tests.elasticsearch import search_server

_IN_FLIGHT = 2000
_BULK = 500
_INDEX = index_name("seldon", "iris", "default")
_SPAWN = multiprocessing.get_context("spawn")

_FEATURES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
_REQUEST = {"data": {"names": _FEATURES, "ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
_RESPONSE = {
    "data": {
        "names": ["t:0", "t:1", "t:2"],
        "ndarray": [[0.0006985194531162841, 0.003668039039435755, 0.9956334415074478]],
    },
    "meta": {"requestPath": {"classifier": "seldonio/sklearnserver:1.17.1"}},
}
_FEEDBACK = {
    "reward": 1,
    "truth": {
        "data": {"ndarray": [2]},
        "meta": {"tags": {"user": "Seldon Admin", "date": "11/07/2020"}},
    },
}


def run(predictions: int = 3000, rounds: int = 5) -> dict[str, float]:
    """Rates are medians of `rounds`, in documents or events per second."""
    answered, judged = _events(predictions)
    rates: dict[str, list[float]] = {}

    def measured(name: str, count: int, seconds: float) -> None:
        rates.setdefault(name, []).append(count / seconds)

    for _ in range(rounds):
        with search_server() as server, Elasticsearch(server.url) as client:
            for name, template in TEMPLATES.items():
                client.indices.put_index_template(name=name, **template)
            first = _merged(answered)
            measured("raw_documents", predictions, _bulk(server.upstream, "create", first))
            second = _merged([*answered, *judged])
            measured("raw_feedback_documents", predictions, _bulk(server.upstream, "index", second))
        with search_server() as server, _logger(server.url) as url:
            measured("logger_documents", predictions, _load(url, answered))
            measured("logger_feedback_documents", predictions, _load(url, judged))
            with Elasticsearch(server.url) as client:
                count = client.count(index=_INDEX)["count"]
            assert count == predictions, f"{count} documents of {predictions} predictions"
        with _serving(_sink) as sink, _logger(sink) as url:
            measured("logger_events_to_sink", 2 * predictions, _load(url, answered))
        with _serving(_empty) as url:
            measured("empty_handler_events", 2 * predictions, _load(url, answered))
    medians = {f"{name}_per_second": statistics.median(rates[name]) for name in rates}
    return {
        **medians,
        "logger_over_raw_bulk": _ratio(rates, "logger_documents", "raw_documents"),
        "logger_over_raw_bulk_feedback": _ratio(
            rates, "logger_feedback_documents", "raw_feedback_documents"
        ),
        "sink_over_empty_handler": _ratio(rates, "logger_events_to_sink", "empty_handler_events"),
    }


def _ratio(rates: dict[str, list[float]], name: str, base: str) -> float:
    """Of each round, so that what slows a round down slows both."""
    return statistics.median(
        ours / other for ours, other in zip(rates[name], rates[base], strict=True)
    )


def _events(predictions: int) -> tuple[list[Event], list[Event]]:
    """Requests and answers in turn, and the feedback."""
    answered, judged = [], []
    for i in range(predictions):
        request_id = str(uuid.uuid4())
        answered.append(_event(events.REQUEST, _REQUEST, request_id, i))
        answered.append(_event(events.RESPONSE, _RESPONSE, request_id, i))
        judged.append(_event(events.FEEDBACK, _FEEDBACK, request_id, i))
    return answered, judged


def _event(kind: str, body: object, request_id: str, i: int) -> Event:
    return Event(
        id=str(uuid.uuid4()),
        source="http://:8000/",
        type=kind,
        time=f"2026-11-23T18:{i // 60 % 60:02d}:{i % 60:02d}.378621945Z",
        request_id=request_id,
        namespace="seldon",
        deployment="iris",
        predictor="default",
        model="classifier",
        content_type="application/json",
        body=json.dumps(body).encode(),
    )


def _merged(said: Sequence[Event]) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for event in said:
        for part in parts_of(event):
            documents[part.document_id], _ = merge(documents.get(part.document_id), part)
    return documents


def _bulk(url: str, action: str, documents: dict[str, Document]) -> float:
    """Seconds that `_bulk` takes for the documents, one connection, `_BULK` at a time."""
    lines = [
        json.dumps({action: {"_index": _INDEX, "_id": name}}) + "\n" + json.dumps(document) + "\n"
        for name, document in documents.items()
    ]
    bodies = ["".join(lines[i : i + _BULK]).encode() for i in range(0, len(lines), _BULK)]
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    headers = {"content-type": "application/x-ndjson"}
    start = time.perf_counter()
    for body in bodies:
        connection.request("POST", "/_bulk?filter_path=errors", body, headers)
        assert json.load(connection.getresponse()) == {"errors": False}
    seconds = time.perf_counter() - start
    connection.close()
    return seconds


@contextlib.contextmanager
def _logger(elasticsearch: str) -> Iterator[str]:
    """The URL of a request logger, run as a pod would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "HOST": "127.0.0.1", "PORT": str(port), "ELASTICSEARCH_URL": elasticsearch,
        "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    command = [sys.executable, "-m", "closedloop.request_logger"]
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        _until_ready(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        connection.close()
        assert time.monotonic() < deadline, "the request logger does not become ready"
        time.sleep(0.05)


@contextlib.contextmanager
def _serving(make_app: Callable[[], web.Application]) -> Iterator[str]:
    """The URL of an aiohttp application in a process of its own."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(make_app, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(make_app: Callable[[], web.Application], pipe: "Connection[int, int]") -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=_IN_FLIGHT)
    pipe.send(listener.getsockname()[1])
    web.run_app(make_app(), sock=listener, print=None, access_log=None)


def _empty() -> web.Application:
    """What aiohttp itself costs: it reads the body and answers."""

    async def acknowledge(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/", acknowledge)
    return app


def _sink() -> web.Application:
    """An Elasticsearch that knows nothing and says yes to everything at once."""

    async def known(request: web.Request) -> web.Response:
        asked = json.loads(await request.read())["docs"]
        return _json({"docs": [{**one, "found": False} for one in asked]})

    async def written(request: web.Request) -> web.Response:
        lines = (await request.read()).count(b"\n")
        return _json({"items": [{"create": {"status": 201}}] * (lines // 2)})

    async def template(_: web.Request) -> web.Response:
        return _json({"acknowledged": True})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/_mget", known)
    app.router.add_post("/_bulk", written)
    app.router.add_route("*", "/_index_template/{name}", template)
    return app


def _json(body: object) -> web.Response:
    return web.json_response(body, headers={"x-elastic-product": "Elasticsearch"})


def _load(url: str, sent: Sequence[Event]) -> float:
    """Seconds from the first event sent to the last one acknowledged."""
    ours, theirs = _SPAWN.Pipe()
    requests = [_rendered(event) for event in sent]
    process = _SPAWN.Process(target=_send, args=(urlsplit(url).port, requests, theirs))
    process.start()
    theirs.close()  # or a process that died would be waited for
    seconds: float = ours.recv()
    process.join()
    return seconds


def _rendered(event: Event) -> bytes:
    """The request of a Knative trigger's dispatcher."""
    headers = {
        "host": "seldon-request-logger.seldon-logs.svc.cluster.local",
        "user-agent": "Go-http-client/1.1",
        **event.headers(),
        "ce-knativearrivaltime": event.time,
        "prefer": "reply",
        "kn-namespace": "seldon-logs",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "content-length": str(len(event.body)),
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode() + event.body


def _send(port: int, requests: list[bytes], pipe: "Connection[float, float]") -> None:
    pipe.send(asyncio.run(_send_all(port, requests)))


async def _send_all(port: int, requests: list[bytes]) -> float:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_IN_FLIGHT)]
    waiting = iter(requests)

    async def one_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request in waiting:
            while await _status(request, reader, writer) != b"202":
                await asyncio.sleep(0.1)  # a broker would send it again, too
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(one_connection(*connection) for connection in connections))
    return time.perf_counter() - start


async def _status(
    request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bytes:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length: 0\r\n" not in head:
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
    return head[9:12]


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:])).items():
        print(f"{name:45} {value:10.2f}")
