"""A service for many small events: ASGI, served by uvicorn with httptools and uvloop.

uvicorn takes a third of the time of aiohttp's server for an event (`bench/servers.py`).
"""

import asyncio
import json
import signal
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, cast

import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from closedloop.services.kit import service
from closedloop.services.kit.exposition import CONTENT_TYPE, exposition

_log = structlog.get_logger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Mapping[str, str]
Answer = tuple[int, str]
"""A status, and for an error the sentence that says it."""

_BROKEN = "the body is not encoded as its headers say: encode it again"
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": 32 + zlib.MAX_WBITS}
_ENCODING = "content-encoding"
_NOTHING = b"content-length", b"0"
_METHODS = {"/": "POST", "/live": "GET, HEAD", "/ready": "GET, HEAD", "/metrics": "GET, HEAD"}


class Application:
    """Takes events at `POST /`, and tells `/live`, `/ready` and `/metrics`.

    `event` is given the headers that `names` says, the body, how many bytes it has as far as that
    is known, of which no more than `most_bytes` are given, and the fault of its encoding, if any.
    """

    def __init__(
        self,
        event: Callable[[Headers, bytes, int, str], Answer],
        names: Iterable[str],
        *,
        most_bytes: int,
        registry: CollectorRegistry,
        why_not_ready: Callable[[], str | None],
        lifetime: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._event = event
        self._names = {name.encode(): name for name in (*names, _ENCODING)}
        self.most_bytes = most_bytes
        self._registry = registry
        self._why_not_ready = why_not_ready
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] == "/" and scope["method"] == "POST":
            await self._take(scope, receive, send)
        else:
            await self._tell(scope["path"], scope["method"], send)

    def take(self, raw: Sequence[tuple[bytes, bytes]], body: bytes, size: int) -> Answer:
        """Take an event of which `body` is no more than a little past `most_bytes`."""
        # Of a header that comes twice the first counts, as it does in aiohttp.
        wanted = self._names
        headers = {
            wanted[key]: value.decode("utf-8", "surrogateescape")
            for key, value in reversed(raw)
            if key in wanted
        }
        encoding = headers.pop(_ENCODING, "")
        broken = ""
        if size > self.most_bytes:
            body = body[: self.most_bytes]
            size = max(size, int(dict(raw).get(b"content-length", b"0")))
        elif encoding:
            body, broken = _decoded(body, encoding, self.most_bytes)
            size = len(body)
            body = body[: self.most_bytes]
        return self._event(headers, body, size, broken)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive, self.most_bytes)
        if body is None:
            return  # the sender hung up
        status, error = self.take(scope["headers"], body, len(body))
        if error:
            await _say(send, status, json.dumps({"error": error}), b"application/json")
        else:
            await send({"type": "http.response.start", "status": status, "headers": [_NOTHING]})
            await send({"type": "http.response.body", "body": b""})

    async def _tell(self, path: str, method: str, send: Send) -> None:
        allowed = _METHODS.get(path)
        if allowed is None:
            sentence = json.dumps({"error": f"there is nothing at {path}"})
            await _say(send, 404, sentence, b"application/json")
        elif method not in allowed.split(", "):
            sentence = json.dumps({"error": f"{path} does not take {method}: use {allowed}"})
            await _say(send, 405, sentence, b"application/json", [(b"allow", allowed.encode())])
        elif path == "/metrics":
            await _say(send, 200, exposition(self._registry), CONTENT_TYPE.encode())
        else:
            reason = self._why_not_ready() if path == "/ready" else None
            await _say(send, 503 if reason else 200, reason or "", b"text/plain; charset=utf-8")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._lifetime():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


class EventProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which gives a whole event to its application without a task for it.

    That is half of the time that HTTP takes. Everything but a plain `POST /` goes uvicorn's way.
    """

    _parts: list[bytes] | None = None
    _size = 0

    def on_headers_complete(self) -> None:
        free = self.cycle is None or self.cycle.response_complete
        parser = self.parser
        if (
            free
            and self.url == b"/"
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not parser.should_upgrade()
        ):
            self._parts, self._size = [], 0
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._parts is None:
            super().on_body(body)
            return
        if self._size <= self.config.app.most_bytes:  # type: ignore[union-attr]
            self._parts.append(body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        parts, self._parts = self._parts, None
        if parts is None:
            super().on_message_complete()
            return
        app = cast(Application, self.config.app)
        try:
            status, error = app.take(self.headers, b"".join(parts), self._size)
        except Exception:  # noqa: BLE001 - the sender is told, and the next event may be taken
            _log.exception("an event could not be taken")
            status, error = 500, "this is a fault of the service: see its log"
        self.transport.write(_response(status, error))
        self.server_state.total_requests += 1
        if not self.parser.should_keep_alive():
            self.transport.close()
        elif not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


class Server(uvicorn.Server):
    """uvicorn's server, whose process ends with status 0 when it is asked to."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are `run`'s to take: uvicorn would raise them again at its end."""
        yield


def configured(app: Application, *, grace: float = 10.0, backlog: int = 2048) -> uvicorn.Config:
    """uvicorn's settings for an application; `grace` is how many seconds open requests have."""
    return uvicorn.Config(
        app,
        http=EventProtocol,
        interface="asgi3",
        proxy_headers=False,
        loop="none",
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(grace),
        backlog=backlog,
    )


def run(app: Application, settings: service.Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish open requests."""
    server = Server(configured(app))
    sockets = [
        socket.create_server((host, settings.port), backlog=2048)
        for host in service.addresses(settings.host)
    ]

    async def serve() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
        await server.serve(sockets)

    with asyncio.Runner(loop_factory=service.event_loop) as runner:
        runner.run(serve())


def _response(status: int, error: str) -> bytes:
    if not error:
        return _empty(status)
    body = json.dumps({"error": error}).encode()
    head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, HTTPStatus(status).phrase.encode(), len(body)) + body


@cache
def _empty(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\n\r\n" % (status, phrase)


async def _body(receive: Receive, most_bytes: int) -> bytes | None:
    """A body, or a little more than `most_bytes` of it; None when the sender hung up."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if message["type"] == "http.request" else None
    parts = bytearray(body)
    while message.get("more_body") and len(parts) <= most_bytes:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts += message.get("body", b"")
    return bytes(parts)


def _decoded(body: bytes, encoding: str, most_bytes: int) -> tuple[bytes, str]:
    """A body without the encoding that its headers say, no longer than a byte past `most_bytes`,
    and the fault of it."""
    window = _WINDOWS.get(encoding.strip().lower())
    if window is None:
        return body, ""
    decompressor = zlib.decompressobj(window)
    try:
        plain = decompressor.decompress(body, most_bytes + 1)
    except zlib.error:
        return b"", _BROKEN
    return plain, "" if decompressor.eof or len(plain) > most_bytes else _BROKEN


async def _say(
    send: Send,
    status: int,
    text: str,
    kind: bytes,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    body = text.encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
