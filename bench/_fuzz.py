"""Coverage-guided fuzzing of the services, by Atheris: `./scripts/fuzz [SERVICE …] [--runs N]`.

What the fuzzer makes is sent over TCP as the headers and the body of a request, to a service in
this process whose code is instrumented. Elasticsearch is a stand-in that takes everything. No
answer may be a 5xx, none may fail to come, nothing may be raised in a task, and memory may not
grow once the service is warm. An input that does it is kept in `out/`.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-untyped]  # in the dependency group `fuzz` alone
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

with atheris.instrument_imports(include=["closedloop"]):
    from closedloop.paths import checkout_root
    from closedloop.services.alert_logger import app as _alerts
    from closedloop.services.kit import service
    from closedloop.services.kit.asgi import Application
    from closedloop.services.kit.server import Server, configured
    from closedloop.services.metrics_server import app as _metrics
    from closedloop.services.metrics_server import settings as _metrics_settings
    from closedloop.services.request_logger import app as _logger
    from closedloop.services.request_logger import settings as _logger_settings
    from tests.agreement import DEFAULT, event

_RUNS = 100_000
_GROWTH_MIB = 64  # what the fuzzer itself keeps, its corpus, and the allocator
_SECONDS = 60  # to answer
_FRAMING = (b"content-length", b"transfer-encoding", b"host")
_ANSWER = {"data": {"names": ["cat", "dog"], "ndarray": [[0.9, 0.1], [0.2, 0.8]]}, "meta": {}}
_TRUTH = {"reward": 1, "truth": {"data": {"ndarray": ["cat", None]}}, "response": _ANSWER}
_ALERT = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "ModelAccuracyLow"},
            "annotations": {"summary": "low"},
            "startsAt": "2026-01-31T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus",
            "fingerprint": "c0ffee",
        }
    ],
}
_EVENTS = [
    b"".join(f"{name}: {value}\r\n".encode() for name, value in sent.headers.items())
    + b"\r\n"
    + sent.body
    for kind, message in (
        ("io.seldon.serving.inference.request", {"data": {"ndarray": [[1.5, 2]]}}),
        ("io.seldon.serving.inference.response", _ANSWER),
        ("io.seldon.serving.inference.response", {"predictions": [0.5, 1]}),
        ("io.seldon.serving.inference.response", {"jsonData": {"a": 1}}),
        ("io.seldon.serving.feedback", _TRUTH),
        ("io.seldon.serving.feedback", {"reward": 0.5}),
        (
            "io.seldon.serving.feedback",
            {"truth": {"data": {"tensor": {"shape": [2, 1], "values": [0, 1]}}}},
        ),
    )
    for sent in [event(kind, message, owner=DEFAULT, request_id="P", event_id="e")]
]
_WORDS = (
    "ce-id", "ce-time", "ce-type", "ce-requestid", "ce-endpoint", "content-encoding", "gzip",
    "content-type", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
    "json=", "ndarray", "tensor", "tftensor", "shape", "values", "names", "strData", "binData",
    "jsonData", "outputs", "instances", "truth", "reward", "response", "puid", "NaN", "1e400",
    "-1", "null", "\\\\ud800", "alerts", "status", "firing", "resolved", "labels", "startsAt",
)  # fmt: skip


def _of_logger(url: str) -> Application:
    settings = _logger_settings.Settings(elasticsearch_url=url, batch_milliseconds=0)
    return _logger.create_app(settings, CollectorRegistry())


def _of_metrics(url: str) -> Application:
    settings = _metrics_settings.Settings(elasticsearch_url=url, max_predictors=20)
    return _metrics.create_app(settings, CollectorRegistry())


def _of_alerts(url: str) -> Application:
    settings = _alerts.Settings(elasticsearch_url=url)
    return _alerts.create_app(settings, CollectorRegistry())


@dataclass(frozen=True)
class Target:
    """A service, the path that takes requests, and requests to begin with."""

    make: Callable[[str], Application]
    path: str
    seeds: list[bytes]


TARGETS = {
    "request_logger": Target(_of_logger, "/", _EVENTS),
    "metrics_server": Target(_of_metrics, "/", _EVENTS),
    "alert_logger": Target(
        _of_alerts,
        "/alerts",
        [b"content-type: application/json\r\n\r\n" + json.dumps(_ALERT).encode()],
    ),
}


@dataclass
class Fuzzed:
    """A service that runs, and what came of the requests to it."""

    target: Target
    runs: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    raised: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    warm: int = 0
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def start(self) -> None:
        """Start the stand-in for Elasticsearch, then the service."""
        sink = TestServer(_sink())
        await sink.start_server()
        app = self.target.make(str(sink.make_url("/")))
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = listening.getsockname()
        server = Server(configured(app))
        self.serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        self.loop.set_exception_handler(lambda _, context: self.raised.append(context))

    def one_input(self, data: bytes) -> None:
        """Send one request. Raises AssertionError for what must not happen."""
        status = self.loop.run_until_complete(asyncio.wait_for(self._send(data), _SECONDS))
        assert status < 500, f"answered {status}"
        assert not self.raised, self.raised
        self.sent += 1
        if self.sent == self.runs // 5:
            self.warm = _resident()
        elif self.sent == self.runs:
            grown = (_resident() - self.warm) / 2**20
            print(f"{self.sent} requests; memory grew by {grown:.1f} MiB since the first fifth")
            assert grown < _GROWTH_MIB, f"memory grew by {grown:.0f} MiB"

    async def _send(self, data: bytes) -> int:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if line.strip()]
        lines = [line for line in lines if not line.strip().lower().startswith(_FRAMING)]
        request = b"\r\n".join(
            [
                f"POST {self.target.path} HTTP/1.1".encode(),
                b"host: fuzzed",
                *lines,
                b"content-length: %d" % len(body),
                b"",
                body,
            ]
        )
        if self.streams is None or self.streams[0].at_eof():
            self.streams = await asyncio.open_connection(*self.address)
        reader, writer = self.streams
        writer.write(request)
        try:
            while (status := int((await reader.readuntil(b"\r\n")).split()[1])) == 100:
                await reader.readuntil(b"\r\n")
            headers = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length: " in headers:
                length = headers.split(b"content-length: ")[1].split(b"\r\n")[0]
                await reader.readexactly(int(length))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise AssertionError(f"no answer: {error!r}") from None
        if status >= 400 or b"connection: close" in headers or b"connection:" in head.lower():
            writer.close()
            self.streams = None
        return status


def _sink() -> web.Application:
    """An Elasticsearch that knows nothing and takes everything."""

    async def known(request: web.Request) -> web.Response:
        asked = json.loads(await request.read())["docs"]
        return _json({"docs": [{**one, "found": False} for one in asked]})

    async def written(request: web.Request) -> web.Response:
        actions = (await request.read()).count(b"\n") // 2
        return _json({"items": [{"create": {"status": 201}}] * actions})

    async def nothing(_: web.Request) -> web.Response:
        return _json({"acknowledged": True, "hits": {"hits": []}})

    async def no_alias(_: web.Request) -> web.Response:
        return _json({})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/{indices}/_alias", no_alias)
    app.router.add_post("/_mget", known)
    app.router.add_post("/_bulk", written)
    app.router.add_get("/{indices}/_alias", no_alias)
    app.router.add_route("*", "/{anything:.*}", nothing)
    return app


def _json(body: object) -> web.Response:
    return web.json_response(body, headers={"x-elastic-product": "Elasticsearch"})


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _fuzz(name: str, runs: int, folder: Path) -> None:
    """Fuzz one service; the process ends with it, with status 0 where nothing was found."""
    service.configure_logs("CRITICAL")
    fuzzed = Fuzzed(TARGETS[name], runs)
    asyncio.set_event_loop(fuzzed.loop)
    fuzzed.loop.run_until_complete(fuzzed.start())
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for i, seed in enumerate(fuzzed.target.seeds):
        (corpus / str(i)).write_bytes(seed)
    words.write_text("".join(f'"{word}"\n' for word in _WORDS))
    out = checkout_root() / "out"
    out.mkdir(exist_ok=True)
    options = (f"-atheris_runs={runs}", "-max_len=8192", f"-dict={words}", "-print_final_stats=1")
    found = f"-artifact_prefix={out}/fuzz-{name}-"
    atheris.Setup([sys.argv[0], *options, found, str(corpus)], fuzzed.one_input)
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzz each service in a process of its own; 1 if anything was found in one."""
    runs = _RUNS
    if "--runs" in arguments:
        at = arguments.index("--runs")
        runs = int(arguments[at + 1])
        del arguments[at : at + 2]
    failed = 0
    for name in arguments or TARGETS:
        print(f"{name}: {runs} requests", flush=True)
        with tempfile.TemporaryDirectory(prefix="closedloop-fuzz-") as folder:
            command = [sys.executable, "-m", "bench._fuzz", "--one", name, str(runs), folder]
            failed |= subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _fuzz(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(main(sys.argv[1:]))
