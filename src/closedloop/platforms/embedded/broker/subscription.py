"""Delivery of one trigger's events: from its consumer to its subscriber."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import aiohttp
import structlog

from closedloop.platforms.embedded.broker import attempt
from closedloop.platforms.embedded.broker.cloudevent import (
    CloudEvent,
    InvalidCloudEvent,
    from_message,
    with_extensions,
)
from closedloop.platforms.embedded.broker.counts import TriggerCounts
from closedloop.platforms.embedded.broker.delivery import (
    Finished,
    Outcome,
    Progress,
    TryAgain,
    error_extensions,
    matches,
    proceed,
)
from closedloop.platforms.embedded.broker.pull import Key, Pull
from closedloop.platforms.embedded.broker.store import EventTooLarge, Store, StoreUnavailable
from closedloop.platforms.embedded.desired import Trigger

IN_FLIGHT = 256

_FORGET_AFTER = 600.0
_STOP_GRACE = 5.0
_PAUSE = 1.0

_log = structlog.get_logger(__name__)

Reply = Callable[[str, CloudEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    progress: Progress
    due: float  # time of the event loop


class Subscription:
    """One trigger being served. `trigger` may be replaced at any time.

    Tries that failed are remembered here and waited out at the server, so
    that a restart of either begins an event's tries anew and loses none.
    `reply` stores an event that a subscriber answered with. `until` ends a
    replay: later events of the stream are none of its business.
    """

    def __init__(
        self,
        store: Store,
        consumer: str,
        trigger: Trigger,
        counts: TriggerCounts,
        client: aiohttp.ClientSession,
        reply: Reply,
        until: int | None = None,
    ) -> None:
        self.trigger = trigger
        self.consumer = consumer
        self.until = until
        self._pull = Pull(store, consumer)
        self._counts = counts
        self._client = client
        self._reply = reply
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._waiting: dict[Key, _Waiting] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to deliver."""
        await self._pull.start()
        self._loop = asyncio.create_task(self._run())

    def forget(self) -> None:
        """Forget the tries of events that left the stream by its limits and do not come back."""
        now = asyncio.get_running_loop().time()
        for key, waiting in list(self._waiting.items()):
            if now > waiting.due + _FORGET_AFTER:
                del self._waiting[key]

    async def stop(self) -> None:
        """Finish the deliveries in flight within a few seconds and give the others back."""
        if self._loop is not None:
            self._loop.cancel()
        if self._deliveries:
            _, unfinished = await asyncio.wait(self._deliveries, timeout=_STOP_GRACE)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._pull.close()

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            key, data = await self._pull.next()
            try:
                event = from_message(data)
            except (ValueError, TypeError) as error:
                self._counts.dropped += 1
                _log.error("dropped a message that is no event", key=key, error=str(error))
                event = None
            if event is None or self._is_not_ours(key, event):
                self._waiting.pop(key, None)
                self._slots.release()
                await self._pull.ack(key)
                continue
            task = asyncio.create_task(self._deliver(key, event))
            self._deliveries.add(task)
            task.add_done_callback(self._delivered)

    def _is_not_ours(self, key: Key, event: CloudEvent) -> bool:
        if self.until is not None and key.sequence > self.until:
            return True
        return not matches(self.trigger.filters, event.attributes)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a delivery broke off", trigger=self.trigger.name, exc_info=error)

    async def _deliver(self, key: Key, event: CloudEvent) -> None:
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.due > loop.time() + 0.01:
            # A restarted server does not wait out the delays it was given before.
            await self._pull.give_back(key, waiting.due - loop.time())
            return
        progress = waiting.progress if waiting else Progress()
        try:
            again = await self._try(key, event, progress)
            while again is not None and again.delay == 0:
                again = await self._try(key, event, again.progress)
        except StoreUnavailable as error:
            # The subscriber took the event; its reply cannot be stored yet.
            _log.warning("a reply waits for NATS", trigger=self.trigger.name, error=str(error))
            await self._pull.give_back(key, _PAUSE)
            return
        except Exception:
            # Nobody else would give it back, and it would be kept alive for ever.
            await self._pull.give_back(key, _PAUSE)
            raise
        if again is not None:
            self._waiting[key] = _Waiting(again.progress, loop.time() + again.delay)
            await self._pull.give_back(key, again.delay)

    async def _try(self, key: Key, event: CloudEvent, progress: Progress) -> TryAgain | None:
        """Try once; None when the event is finished."""
        trigger = self.trigger
        delivery = trigger.delivery
        destination, sent = trigger.subscriber, event
        if progress.cause is not None:
            if delivery.dead_letter is None:  # taken away since
                await self._finish(key, "dropped", event, progress.cause)
                return None
            destination = delivery.dead_letter
            sent = with_extensions(event, error_extensions(trigger.subscriber, progress.cause))
        outcome, reply = await attempt.post(
            self._client, destination, sent, namespace=trigger.namespace, timeout=delivery.timeout
        )
        if reply is not None and progress.cause is None:
            await self._send_reply(event, reply)
        step = proceed(delivery, progress, outcome)
        if isinstance(step, Finished):
            await self._finish(key, step.how, event, outcome)
            return None
        if step.progress.cause is progress.cause:
            self._counts.retried += 1
        return step

    async def _send_reply(self, event: CloudEvent, reply: CloudEvent) -> None:
        try:
            await self._reply(self.trigger.broker, replace(reply, ttl=event.ttl))
        except (InvalidCloudEvent, EventTooLarge) as error:
            _log.warning("dropped a reply", trigger=self.trigger.name, error=str(error))

    async def _finish(self, key: Key, how: str, event: CloudEvent, outcome: Outcome) -> None:
        if how == "delivered":
            self._counts.delivered += 1
        elif how == "dead letter":
            self._counts.dead_lettered += 1
        else:
            self._counts.dropped += 1
            _log.error(
                "dropped an event",
                trigger=self.trigger.name,
                subscriber=self.trigger.subscriber,
                id=event.attributes["id"],
                source=event.attributes["source"],
                status=outcome.status,
            )
        self._waiting.pop(key, None)
        await self._pull.ack(key)
