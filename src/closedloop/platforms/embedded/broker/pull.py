"""Messages of one durable consumer, leased until they are acknowledged.

A pull request stands at the server all the time, so that a message arrives as
soon as it is stored. What arrived is kept alive by progress reports, however
long its delivery takes; when this process dies the reports stop, and the
server delivers again after `ACK_WAIT`.

Wire format: NATS ADR-13 (pull subscription internals): the request's fields,
status 100 for a heartbeat, 404, 408 and 409 for the end of a request with what
was left of it in `Nats-Pending-Messages`, 503 for no consumer.
"""

import asyncio
import json
from collections import OrderedDict
from typing import NamedTuple

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError

from closedloop.platforms.embedded.broker.store import ACK_WAIT, STREAM, Store

_BUFFER = 128
# Of what is leased, and of what one request may bring of it: more than the largest message.
_BUFFER_BYTES = 40 << 20
_LEAST_BYTES = 18 << 20
_EXPIRES = 30.0
_HEARTBEAT = 2.0
_PROGRESS_EVERY = ACK_WAIT / 4
_REMEMBERED = 20_000

_log = structlog.get_logger(__name__)


class Key(NamedTuple):
    """Which message: sequence in the stream, and time stored (a new stream counts anew)."""

    sequence: int
    stored: float


class Pull:
    """The messages of one consumer. Call `start` first and `close` in the end."""

    def __init__(self, store: Store, consumer: str) -> None:
        self._store = store
        self._consumer = consumer
        self._subscription: NatsSubscription | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._arrived: asyncio.Queue[Key] = asyncio.Queue()
        self._leased: dict[Key, Msg] = {}
        self._done: OrderedDict[Key, None] = OrderedDict()
        self._leased_bytes = 0
        self._requested = 0
        self._heard = 0.0

    @property
    def leased(self) -> int:
        """Messages that arrived and are neither acknowledged nor given back."""
        return len(self._leased)

    async def start(self) -> None:
        """Subscribe and ask for messages."""
        client = self._store.client
        self._subscription = await client.subscribe(client.new_inbox(), cb=self._receive)
        self._renewal = asyncio.create_task(self._renew())
        await self.resume()

    async def resume(self) -> None:
        """Ask anew: after a reconnect the server knows of no request."""
        self._requested = 0
        self._heard = asyncio.get_running_loop().time()
        await self._request()

    async def next(self) -> tuple[Key, bytes]:
        """The next message, waiting for one."""
        while True:
            key = await self._arrived.get()
            await self._request()
            message = self._leased.get(key)
            if message is not None:
                return key, message.data

    async def ack(self, key: Key) -> None:
        """The message is dealt with and must not come again."""
        self._done[key] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        await self._answer(key, Msg.Ack.Ack)

    async def give_back(self, key: Key, delay: float = 0.0) -> None:
        """The message shall come again after `delay` seconds, to whoever pulls then."""
        options = b" " + json.dumps({"delay": int(delay * 1e9)}).encode() if delay > 0 else b""
        await self._answer(key, Msg.Ack.Nak + options)

    async def close(self) -> None:
        """Give back what is leased and stop asking."""
        if self._renewal is not None:
            self._renewal.cancel()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except NatsError:
                _log.debug("no connection to unsubscribe on", consumer=self._consumer)
        for key in list(self._leased):
            await self.give_back(key)

    async def _answer(self, key: Key, payload: bytes) -> None:
        message = self._leased.pop(key, None)
        if message is None:
            return
        self._leased_bytes -= len(message.data)
        try:
            await self._store.client.publish(message.reply, payload)
        except NatsError as error:
            # The server will deliver again; `_done` knows what was dealt with.
            _log.debug("could not answer NATS", consumer=self._consumer, error=repr(error))
        await self._request()

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message.headers and "Status" in message.headers:
            await self._end_of_request(message.headers)
            return
        self._requested = max(0, self._requested - 1)
        metadata = message.metadata
        key = Key(metadata.sequence.stream, metadata.timestamp.timestamp())
        known = key in self._leased
        self._leased[key] = message
        self._leased_bytes += 0 if known else len(message.data)
        if key in self._done:
            # The acknowledgement was lost with a killed server.
            await self._answer(key, Msg.Ack.Ack)
            await self._request()
        elif not known:
            self._arrived.put_nowait(key)

    async def _end_of_request(self, headers: dict[str, str]) -> None:
        if headers["Status"] == "100":
            return
        left = headers.get("Nats-Pending-Messages")
        self._requested = max(0, self._requested - int(left)) if left else 0
        if headers["Status"] in ("404", "408") or "MaxBytes" in headers.get("Description", ""):
            await self._request()
        # Otherwise the consumer cannot be pulled now: `_renew` asks again a little later.

    async def _request(self) -> None:
        """Ask for as much as there is room for, when the last request has been answered."""
        room = _BUFFER - self._arrived.qsize()
        space = _BUFFER_BYTES - self._leased_bytes
        if self._requested or room < _BUFFER // 2 or space < _LEAST_BYTES:
            return
        if self._subscription is None or not self._store.connected.is_set():
            return
        request = {
            "batch": room,
            "max_bytes": space,
            "expires": int(_EXPIRES * 1e9),
            "idle_heartbeat": int(_HEARTBEAT * 1e9),
        }
        self._requested += room
        try:
            await self._store.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._consumer}",
                json.dumps(request).encode(),
                reply=self._subscription.subject,
            )
        except NatsError as error:
            self._requested = 0
            _log.debug("could not ask NATS", consumer=self._consumer, error=repr(error))

    async def _renew(self) -> None:
        """Report progress on what is leased; ask again when the server fell silent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_PROGRESS_EVERY)
            if not self._store.connected.is_set():
                continue
            try:
                for message in list(self._leased.values()):
                    await self._store.client.publish(message.reply, Msg.Ack.Progress)
            except NatsError as error:
                _log.debug("could not report progress", error=repr(error))
            if self._requested == 0 or loop.time() - self._heard > 3 * _HEARTBEAT:
                await self.resume()
