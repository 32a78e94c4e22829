"""The events of all brokers in one JetStream stream, and the consumers of triggers on it.

A broker is a subject of the stream, a trigger a durable consumer with the
subject of its broker as filter. Everything here is idempotent, so that it can
run again after each reconnect.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

STREAM = "events"

# After a broker died, NATS delivers its messages again once this has passed.
ACK_WAIT = 5.0

# Our own tries to store one event end well within this time; NATS keeps the ids
# of so long in memory.
_DUPLICATE_WINDOW = 120.0
_MAX_ACK_PENDING = 20_000
_TRY_TIMEOUT = 1.0
_BYTES_PER_SECOND = 4 << 20  # of a large event, on a busy machine
_PAUSE = 0.1

_log = structlog.get_logger(__name__)


class StoreUnavailable(Exception):
    """NATS did not take an event in time, or cannot be asked now."""


class EventTooLarge(Exception):
    """An event is larger than NATS accepts."""


class Store:
    """A connection that is renewed for ever, and the broker's stream behind it.

    `connected` and `disconnected` follow the connection; `serving` is set by
    its user once stream and consumers exist after a connect.
    `hold` is seconds for which a publish waits for NATS to come back.
    """

    def __init__(self, url: str, *, max_bytes: int, max_age: float, hold: float) -> None:
        self.url = url
        self.connected = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.serving = asyncio.Event()
        self.client = Client()
        self.hold = hold
        self._closing = False
        self._stream = StreamConfig(
            name=STREAM,
            subjects=[f"{STREAM}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_bytes=max_bytes,
            max_age=max_age,
            duplicate_window=min(_DUPLICATE_WINDOW, max_age),
        )
        self._js = self.client.jetstream(timeout=_TRY_TIMEOUT)

    async def connect(self) -> None:
        """Return when NATS answered for the first time, however long it takes."""
        options: dict[str, Any] = {
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.1,  # annotated as int, used as seconds to sleep
            "ping_interval": 5,
            "max_outstanding_pings": 2,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_connected,
        }
        await self.client.connect(self.url, **options)
        await self._on_connected()

    async def close(self) -> None:
        """Send the rest, if NATS is there, and close the connection."""
        self._closing = True
        if self.client.is_connected:
            try:
                await self.client.flush(timeout=1)
            except NatsError:
                _log.warning("NATS went away while the broker stopped", url=self.url)
        if not self.client.is_closed:
            await self.client.close()

    async def publish(self, broker: str, data: bytes) -> None:
        """Store one event of `broker` (`namespace/name`), once however often it takes to try.

        Waits up to `hold` seconds while NATS is away.

        Raises `StoreUnavailable` and `EventTooLarge`.
        """
        # A try whose answer was lost may have stored it: NATS knows the next one by this.
        headers = {"Nats-Msg-Id": uuid4().hex}
        patience = _TRY_TIMEOUT + len(data) / _BYTES_PER_SECOND
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.hold
        while (remaining := deadline - loop.time()) > 0:
            try:
                if not self.serving.is_set():
                    await asyncio.wait_for(self.serving.wait(), remaining)
                await self._js.publish(
                    subject(broker), data, timeout=min(patience, remaining), headers=headers
                )
            except MaxPayloadError:
                raise EventTooLarge(
                    f"the event has {len(data)} bytes, NATS takes {self.client.max_payload}: "
                    "send a smaller body"
                ) from None
            except (NatsError, TimeoutError):
                await asyncio.sleep(_PAUSE)
            else:
                return
        raise StoreUnavailable(
            f"NATS at {self.url} did not store the event within {self.hold:g} s: send it again"
        )

    async def ensure_stream(self) -> None:
        """Create the stream, or give it the present limits."""
        try:
            await self._js.update_stream(self._stream)
        except NotFoundError:
            await self._js.add_stream(self._stream)

    async def ensure_consumer(self, name: str, broker: str) -> None:
        """A durable consumer of the broker's events, from now on if it is a new one."""
        try:
            info = await self._js.consumer_info(STREAM, name)
            if info.config.filter_subject != subject(broker):
                await self._js.delete_consumer(STREAM, name)
        except NotFoundError:
            pass
        await self._js.add_consumer(STREAM, _consumer(name, broker, DeliverPolicy.NEW))

    async def replay_consumer(self, name: str, broker: str) -> tuple[int, int]:
        """A new durable consumer of everything the broker retains.

        Returns the sequence of the last event there is now, kept as the
        consumer's metadata `until`, and how many events there are.
        """
        await self.delete_consumer(name)
        info = await self._js.stream_info(STREAM)
        until = info.state.last_seq
        config = _consumer(name, broker, DeliverPolicy.ALL)
        config.metadata = {"until": str(until)}
        created = await self._js.add_consumer(STREAM, config)
        return until, created.num_pending or 0

    async def pull(self, consumer: str) -> JetStreamContext.PullSubscription:
        """A subscription that fetches the messages of a consumer."""
        # No limit of bytes: a fetch is limited already.
        return await self._js.pull_subscribe_bind(
            consumer=consumer, stream=STREAM, pending_bytes_limit=0
        )

    async def consumers(self) -> dict[str, ConsumerInfo]:
        """Every consumer by name."""
        found: dict[str, ConsumerInfo] = {}
        while page := await self._js.consumers_info(STREAM, offset=len(found)):
            found.update((info.name, info) for info in page)
        return found

    async def delete_consumer(self, name: str) -> None:
        """Delete a consumer; an absent one is no error."""
        try:
            await self._js.delete_consumer(STREAM, name)
        except NotFoundError:
            return

    async def keep_only(self, brokers: Iterable[str]) -> None:
        """Delete the events of every other broker."""
        wanted = {subject(broker) for broker in brokers}
        info = await self._js.stream_info(STREAM, subjects_filter=">")
        for stale in (info.state.subjects or {}).keys() - wanted:
            await self._js.purge_stream(STREAM, subject=stale)

    async def _on_connected(self) -> None:
        self.disconnected.clear()
        self.connected.set()
        _log.info("connected to NATS", url=self.url)

    async def _on_disconnected(self) -> None:
        self.serving.clear()
        self.connected.clear()
        self.disconnected.set()
        if not self._closing:
            _log.warning("lost NATS, connecting again", url=self.url)

    async def _on_error(self, error: Exception) -> None:
        # Each failed attempt to connect comes here as well.
        _log.debug("error of the NATS connection", error=repr(error))


def subject(broker: str) -> str:
    """The subject that holds the events of broker `namespace/name`."""
    return f"{STREAM}.{broker.replace('/', '.', 1)}"


def consumer_name(trigger: str) -> str:
    """The durable consumer of trigger `namespace/name`; consumers' names cannot hold dots."""
    return trigger.replace("/", "_", 1).replace(".", "=")


def _consumer(name: str, broker: str, start: DeliverPolicy) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=name,
        deliver_policy=start,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        max_deliver=-1,
        max_ack_pending=_MAX_ACK_PENDING,
        filter_subject=subject(broker),
    )
