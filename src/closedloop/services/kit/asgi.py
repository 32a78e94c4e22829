"""A service for many small requests, as an ASGI application: `server` serves it."""

import asyncio
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import chain, zip_longest
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from closedloop.services.kit.room import Room

_log = structlog.get_logger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Mapping[str, str]
Answer = tuple[int, str]
"""A status, and for an error the sentence that says it."""
Reply = Callable[[int, str], None]
"""Gives the answer to a request, at once or later; only the first one counts."""
Take = Callable[[Reply, Headers, bytes, int, str], Answer | None]
"""Takes a request: its headers, its body, how many bytes that has as far as is known, of which no
more than `most_bytes` are given, and the fault of its encoding, if any. Its answer is returned
where it is known at once, else given to the reply."""

_BROKEN = "the body is not encoded as its headers say: encode it again"
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": 32 + zlib.MAX_WBITS}
_ENCODING = "content-encoding"
_MOST_SPELLINGS = 1000
_TURN_SECONDS = 0.002  # about what three predictors' metrics take, or fifty events
_NOTHING = b"content-length", b"0"
_ROOM = 64 << 20  # bytes of the bodies that are being received
BODY_SECONDS = 30.0
"""For so long a body may wait for room, and then come."""
SLOW: Answer = 408, f"the body did not come within {BODY_SECONDS:.0f} seconds: send it again"
FULL: Answer = 503, "too many large events come at once: send it again later"
FAULT = "this is a fault of the service: see its log"


class Application:
    """Takes requests at `POST` of the paths in `takes`, and tells `/live`, `/ready` and `/metrics`.

    `names` are the headers that they are given, in lower case: all of them unless it names some.
    """

    def __init__(
        self,
        takes: Mapping[str, Take],
        names: Sequence[str] = (),
        *,
        most_bytes: int,
        registry: CollectorRegistry,
        why_not_ready: Callable[[], str | None],
        lifetime: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self.takes = {path.encode(): take for path, take in takes.items()}
        self._methods = {
            **dict.fromkeys(("/live", "/ready", "/metrics"), "GET, HEAD"),
            **dict.fromkeys(takes, "POST"),
        }
        self._names = _Names((*names, _ENCODING) if names else ())
        self.most_bytes = most_bytes
        self.room = Room(_ROOM)
        self._page = _Page(registry)
        self._why_not_ready = why_not_ready
        self._lifetime = lifetime
        self._came: list[tuple[Take, Reply, dict[str, str], bytes, int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["method"] == "POST" and (take := self.takes.get(scope["path"].encode())):
            await self._take(take, scope["headers"], receive, send)
        else:
            await self._tell(scope["path"], scope["method"], send)

    def headers(self, raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
        """The headers that `take_soon` needs; `raw` has them from the last one to the first."""
        # Of a header that comes twice the first counts, as it does in aiohttp.
        names = self._names
        return {
            name: value.decode("utf-8", "surrogateescape")
            for spelled, value in raw
            if (name := names[spelled])
        }

    def size_of(self, raw: Iterable[tuple[bytes, bytes]]) -> int:
        """The most bytes that are kept of a body with these headers."""
        for spelled, value in raw:
            if spelled.lower() == b"content-length":
                return min(int(value), self.most_bytes)
        return self.most_bytes

    def take_soon(
        self, take: Take, reply: Reply, headers: dict[str, str], body: bytes, size: int
    ) -> None:
        """Take a request, of which `body` is no more than a little past `most_bytes`, together
        with the others that come in this turn of the event loop."""
        if not self._came:
            asyncio.get_running_loop().call_soon(self._take_all)
        self._came.append((take, reply, headers, body, size))

    def _take_all(self) -> None:
        # Side by side, and answered side by side, events take two thirds of the time that each
        # takes between a read and a write of sockets: what they run stays in the processor's
        # caches, and a sender is woken once for many answers.
        came, self._came = self._came, []
        answers = [(each[1], self._taken(*each)) for each in came]
        for reply, answer in answers:
            if answer is not None:
                reply(*answer)

    def _taken(
        self, take: Take, reply: Reply, headers: dict[str, str], body: bytes, size: int
    ) -> Answer | None:
        encoding = headers.pop(_ENCODING, "")
        broken = ""
        if size > self.most_bytes:
            body = body[: self.most_bytes]
        elif encoding:
            body, broken = _decoded(body, encoding, self.most_bytes)
            size = len(body)
            body = body[: self.most_bytes]
        try:
            return take(reply, headers, body, size, broken)
        except Exception:  # noqa: BLE001 - the sender is told, and the next event may be taken
            _log.exception("an event could not be taken")
            return 500, FAULT

    async def _take(
        self, take: Take, raw: Sequence[tuple[bytes, bytes]], receive: Receive, send: Send
    ) -> None:
        granted = asyncio.Event()
        claim = self.room.claim(self.size_of(raw), granted.set)
        try:
            if not claim.has:
                await asyncio.wait_for(granted.wait(), BODY_SECONDS)
            body = await asyncio.wait_for(_body(receive, self.most_bytes), BODY_SECONDS)
        except TimeoutError:
            status, error = SLOW if claim.has else FULL
            hang_up = [(b"connection", b"close")]
            await _say(send, status, json.dumps({"error": error}), b"application/json", hang_up)
            return
        finally:
            claim.give_back()
        if body is None:
            return  # the sender hung up
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def reply(status: int, error: str) -> None:
            if not answered.done():
                answered.set_result((status, error))

        size = len(body)
        if size > self.most_bytes:
            size = max(size, int(dict(raw).get(b"content-length", b"0")))
        self.take_soon(take, reply, self.headers(reversed(raw)), body, size)
        status, error = await answered
        if error:
            await _say(send, status, json.dumps({"error": error}), b"application/json")
        else:
            await send({"type": "http.response.start", "status": status, "headers": [_NOTHING]})
            await send({"type": "http.response.body", "body": b""})

    async def _tell(self, path: str, method: str, send: Send) -> None:
        allowed = self._methods.get(path)
        if allowed is None:
            sentence = json.dumps({"error": f"there is nothing at {path}"})
            await _say(send, 404, sentence, b"application/json")
        elif method not in allowed.split(", "):
            sentence = json.dumps({"error": f"{path} does not take {method}: use {allowed}"})
            await _say(send, 405, sentence, b"application/json", [(b"allow", allowed.encode())])
        elif path == "/metrics":
            await _say(send, 200, await self._page.text(), CONTENT_TYPE_LATEST.encode())
        else:
            reason = self._why_not_ready() if path == "/ready" else None
            await _say(send, 503 if reason else 200, reason or "", b"text/plain; charset=utf-8")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._lifetime():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


class _Page:
    """The page of a registry's metrics, of which those are written anew that have changed.

    To write one takes the client library five times as long as to collect it. Events have their
    turn meanwhile: a collector that yields a family more than once, such as for each predictor,
    yields what has to be of one moment at once.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._written: list[tuple[Metric, str]] = []

    async def text(self) -> str:
        """The page, each family once."""
        now: list[tuple[Metric, str]] = []
        families: dict[str, list[str]] = {}
        began = time.perf_counter()
        for metric, before in zip_longest(self._registry.collect(), self._written):
            if metric is None:
                break
            same = before is not None and before[0] == metric
            text = before[1] if same else generate_latest(_Lone(metric)).decode()
            now.append((metric, text))
            parts = families.setdefault(metric.name, [])
            # Help and type come once.
            parts.append(text.split("\n", 2)[2] if parts else text)
            if time.perf_counter() - began > _TURN_SECONDS:
                await asyncio.sleep(0)
                began = time.perf_counter()
        self._written = now
        return "".join(chain.from_iterable(families.values()))


class _Lone(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


class _Names(dict[bytes, str]):
    """The names of headers in lower case, by their spellings; "" for one that is not `wanted`."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = frozenset(wanted)

    def __missing__(self, spelled: bytes) -> str:
        name = spelled.decode("latin-1").lower()
        if self._wanted and name not in self._wanted:
            name = ""
        if len(self) < _MOST_SPELLINGS:
            self[spelled] = name
        return name


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
