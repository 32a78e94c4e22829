"""Messages of one durable consumer, leased until they are acknowledged.

A fetched message is kept alive by progress reports, however long its delivery
takes; when this process dies the reports stop, and NATS delivers again after
`ACK_WAIT`.
"""

import asyncio
from typing import NamedTuple

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from closedloop.platforms.embedded.broker.store import ACK_WAIT, Store

# Bytes of leased messages, beyond which none is fetched.
_ROOM = 40 << 20
# Seconds: a fetch of which a restarted server knows nothing is made again this soon.
_FETCH = 1.0
_PROGRESS_EVERY = ACK_WAIT / 4
_PAUSE = 0.2

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
        self._leased: dict[Key, Msg] = {}
        self._bytes = 0
        self._returned = asyncio.Event()
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe."""
        self._subscription = await self._store.pull(self._consumer)
        self._renewal = asyncio.create_task(self._renew())

    async def next(self) -> tuple[Key, bytes]:
        """The next message that is not leased already, waiting for one."""
        while True:
            message = await self._fetch()
            metadata = message.metadata
            key = Key(metadata.sequence.stream, metadata.timestamp.timestamp())
            known = key in self._leased
            self._leased[key] = message  # of one that came again, the last reply address counts
            if not known:
                self._bytes += len(message.data)
                return key, message.data

    async def ack(self, key: Key) -> None:
        """The message is dealt with and must not come again."""
        if message := self._release(key):
            try:
                await message.ack()
            except NatsError as error:
                _log.debug("could not acknowledge", consumer=self._consumer, error=repr(error))

    async def give_back(self, key: Key, delay: float = 0.0) -> None:
        """The message shall come again after `delay` seconds."""
        if message := self._release(key):
            try:
                await message.nak(delay)
            except NatsError as error:
                _log.debug("could not give back", consumer=self._consumer, error=repr(error))

    async def close(self) -> None:
        """Give back all leased messages and stop asking."""
        if self._renewal is not None:
            self._renewal.cancel()
        for key in list(self._leased):
            await self.give_back(key)
        if self._subscription is not None:
            try:
                await self._subscription.unsubscribe()
            except NatsError:
                _log.debug("no connection to unsubscribe on", consumer=self._consumer)

    def _release(self, key: Key) -> Msg | None:
        message = self._leased.pop(key, None)
        if message is not None:
            self._bytes -= len(message.data)
            self._returned.set()
        return message

    async def _fetch(self) -> Msg:
        assert self._subscription is not None, "call start first"
        while True:
            while self._bytes >= _ROOM:
                self._returned.clear()
                await self._returned.wait()
            await self._store.connected.wait()
            try:
                # One at a time: a batch of large events would be more than NATS holds for us.
                (message,) = await self._subscription.fetch(1, timeout=_FETCH)
            except TimeoutError:
                continue
            except NatsError as error:
                _log.debug("could not ask NATS", consumer=self._consumer, error=repr(error))
                await asyncio.sleep(_PAUSE)
                continue
            return message

    async def _renew(self) -> None:
        """Report progress on everything that is leased."""
        while True:
            await asyncio.sleep(_PROGRESS_EVERY)
            try:
                for message in list(self._leased.values()):
                    await message.in_progress()
            except NatsError as error:
                _log.debug("could not report progress", consumer=self._consumer, error=repr(error))
