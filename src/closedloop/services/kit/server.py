"""Serves an application of `asgi`, by uvicorn with httptools and uvloop.

uvicorn takes a third of the time of aiohttp's server for an event (`bench/servers.py`).
"""

import asyncio
import gc
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from itertools import product
from math import inf
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from closedloop.services.kit import service
from closedloop.services.kit.asgi import BODY_SECONDS, FULL, SLOW, Application, Take
from closedloop.services.kit.room import Claim

# In every spelling: to compare the names in lower case takes longer than to parse them.
_EXPECT = frozenset(map(bytes, product(*zip(b"expect", b"EXPECT", strict=True))))


class EventProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which gives a whole event to its application without a task for it.

    That is half of the time that HTTP takes. Everything but a plain `POST` of an event goes
    uvicorn's way, and so does what a sender sends before it has the answer.
    """

    _take: Take | None = None
    _timer: asyncio.TimerHandle | None = None
    _idle_since = inf
    _claim: Claim | None = None  # of a body that did not come with its headers
    _too_slow: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        # The parser calls it for each header, of which an event has twenty: no code of ours is
        # faster. Of a header that comes twice the first counts, as it does in aiohttp.
        self._said: dict[bytes, bytes] = {}
        self.on_header = self._said.setdefault  # type: ignore[assignment,method-assign]
        super().__init__(*arguments, **more)
        self._application = cast(Application, self.config.app)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._take is not None and self._claim is None and not self.transport.is_closing():
            size = self._application.size_of(reversed(self._said.items()))
            self._claim = self._application.room.claim(size, self._go_on)
            self._too_slow = self.loop.call_later(BODY_SECONDS, self._give_up)
            if not self._claim.has:
                self.flow.pause_reading()

    def on_message_begin(self) -> None:
        # All but the scope, which an event has no need of.
        self._said.clear()
        self.url, self._idle_since = b"", inf

    def on_headers_complete(self) -> None:
        parser = self.parser
        take = self._application.takes.get(self.url)
        if (
            take is not None
            and (self.cycle is None or self.cycle.response_complete)
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and _EXPECT.isdisjoint(self._said)
        ):
            self._take, self._size = take, 0
            self._fields = self._application.headers(reversed(self._said.items()))
            self._parts: list[bytes] = []
            self.cycle = cast(Any, _Open(self, parser.should_keep_alive()))
        else:
            url = self.url
            super().on_message_begin()
            self.url = url
            for header in self._said.items():
                HttpToolsProtocol.on_header(self, *header)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._take is None:
            super().on_body(body)
            return
        if self._size <= self._application.most_bytes:
            self._parts.append(body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        take, self._take = self._take, None
        if take is None:
            super().on_message_complete()
            return
        reply, body = cast(Any, self.cycle), b"".join(self._parts)
        self._parts = []
        self._leave_room()
        self._application.take_soon(take, reply, self._fields, body, self._size)

    def answered(self) -> None:
        """Go on after an answer as uvicorn does, with one timer for all events of a connection."""
        if self.pipeline or self.transport.is_closing():
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._leave_room()
        super().connection_lost(exc)

    def _go_on(self) -> None:
        """Read on: there is room now."""
        if self._too_slow is not None:
            self._too_slow.cancel()
        self._too_slow = self.loop.call_later(BODY_SECONDS, self._give_up)
        self.flow.resume_reading()

    def _leave_room(self) -> None:
        if self._claim is not None and self._too_slow is not None:
            self._too_slow.cancel()
            self._claim.give_back()
            self._claim = None

    def _give_up(self) -> None:
        """Answer, and hang up: the sender still sends, or still waits to."""
        if self._claim is not None and self._take is not None:
            self._take = None
            slow = self._claim.has
            self._leave_room()
            self.cycle.keep_alive = False
            cast(Any, self.cycle)(*(SLOW if slow else FULL))

    def _close_if_idle(self) -> None:
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(
                min(left, self.timeout_keep_alive), self._close_if_idle
            )


class _Open:
    """The reply to an event, in place of uvicorn's cycle: what follows it waits for its answer."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete")
    message_event = asyncio.Event()  # nobody waits for it

    def __init__(self, protocol: EventProtocol, keep_alive: bool) -> None:
        self._protocol = protocol
        self.keep_alive = keep_alive  # uvicorn clears it when the server is to stop
        self.response_complete = self.disconnected = False

    def __call__(self, status: int, error: str) -> None:
        if self.response_complete:
            return
        self.response_complete = True
        transport = self._protocol.transport
        if not transport.is_closing():
            transport.write(_response(status, error, self.keep_alive))
            if not self.keep_alive:
                transport.close()
        self._protocol.answered()


class Server(uvicorn.Server):
    """uvicorn's server, whose process ends with status 0 when it is asked to."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are `run`'s to take: uvicorn would raise them again at its end."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish open requests; hang up on those that are not even sent in time."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.close()


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


def run(app: Application, settings: service.Settings, *, grace: float = 10.0) -> None:
    """Serve until SIGTERM or SIGINT, then finish open requests within `grace` seconds."""
    server = Server(configured(app, grace=grace))
    sockets = [
        socket.create_server((host, settings.port), backlog=2048)
        for host in service.addresses(settings.host)
    ]

    async def serve() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
        await server.serve(sockets)

    # To look through all that was imported takes the garbage collector 50 ms, in which no event
    # is taken; it is there to the end.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=service.event_loop) as runner:
        runner.run(serve())


@lru_cache(maxsize=64)  # nearly all are the same
def _response(status: int, error: str, keep_alive: bool) -> bytes:
    body = json.dumps({"error": error}).encode() if error else b""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-length: {len(body)}"]
    lines += ["content-type: application/json"] if error else []
    lines += [] if keep_alive else ["connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body
