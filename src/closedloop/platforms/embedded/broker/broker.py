"""All brokers and triggers of one configuration, served over one store."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import structlog
from nats.errors import Error as NatsError

from closedloop.platforms.embedded.broker.cloudevent import CloudEvent, admit, to_message
from closedloop.platforms.embedded.broker.config import Config, read
from closedloop.platforms.embedded.broker.counts import Counts, TriggerCounts
from closedloop.platforms.embedded.broker.store import Store, StoreUnavailable, consumer_name
from closedloop.platforms.embedded.broker.subscription import Subscription
from closedloop.platforms.embedded.desired import Trigger

_REPLAY = "_replay"
_WATCH_EVERY = 1.0

_log = structlog.get_logger(__name__)


class UnknownTrigger(LookupError):
    """No such trigger is being served."""


class Broker:
    """The work of the process between its HTTP interface and NATS.

    The configuration file is the truth: events of brokers and consumers of
    triggers that are not in it are deleted.
    """

    def __init__(self, store: Store, config_file: Path, client: aiohttp.ClientSession) -> None:
        self.counts = Counts()
        self._store = store
        self._file = config_file
        self._config = read(config_file)
        self._client = client
        self._served: dict[str, Subscription] = {}
        self._replays: dict[str, Subscription] = {}
        self._changing = asyncio.Lock()
        self._trouble = ""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect and serve, in the background."""
        self._tasks = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._watch())]
        for task in self._tasks:
            task.add_done_callback(_end_with)

    async def stop(self) -> None:
        """Finish deliveries in flight and close the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        subscriptions = [*self._served.values(), *self._replays.values()]
        await asyncio.gather(*(subscription.stop() for subscription in subscriptions))
        await self._store.close()

    def why_not_ready(self) -> str | None:
        """Why events cannot be accepted now, in one sentence; None when they can."""
        if self._store.serving.is_set():
            return None
        if self._store.connected.is_set():
            return f"NATS at {self._store.url} does not serve JetStream yet{self._trouble}"
        return f"NATS at {self._store.url} does not answer"

    def has(self, broker: str) -> bool:
        """Whether broker `namespace/name` is configured."""
        return broker in self._config.brokers

    async def accept(self, broker: str, event: CloudEvent) -> None:
        """Store an event for the broker's triggers: every one, as Knative does, whatever its id.

        Raises `InvalidCloudEvent` when its hops are spent, `StoreUnavailable`
        and `EventTooLarge`.
        """
        admitted = admit(event, datetime.now(UTC).isoformat().replace("+00:00", "Z"))
        await self._store.publish(broker, to_message(admitted))
        self.counts.accepted[broker] += 1

    async def reload(self) -> None:
        """Read the configuration file again and serve it.

        A file that cannot be used leaves the old configuration as it is.
        Waits for NATS as long as a publish does. Raises OSError,
        `InvalidConfig` and `StoreUnavailable`.
        """
        config = read(self._file)
        try:
            async with asyncio.timeout(self._store.hold):
                await self._store.serving.wait()
                async with self._changing:
                    await self._apply(config)
        except (NatsError, TimeoutError) as error:
            raise StoreUnavailable(
                f"NATS at {self._store.url} did not take the whole configuration ({error!r}): "
                "reload again"
            ) from None

    async def replay(self, name: str) -> int:
        """Deliver all retained events to trigger `name` again; returns how many come by.

        Raises `UnknownTrigger` and `StoreUnavailable`.
        """
        async with self._changing:
            if name not in self._served:
                raise UnknownTrigger(f"trigger {name!r} is not served: name one as namespace/name")
            running = self._replays.pop(name, None)
            if running is not None:
                await running.stop()
            trigger = self._served[name].trigger
            consumer = consumer_name(name) + _REPLAY
            try:
                until, events = await self._store.replay_consumer(consumer, trigger.broker)
                await self._start_replay(trigger, until)
            except (NatsError, TimeoutError) as error:
                raise StoreUnavailable(
                    f"NATS at {self._store.url} did not start the replay ({error!r}): try again"
                ) from None
            return events

    def status(self) -> dict[str, object]:
        """The content of `/-/status`."""
        return {
            "ready": self.why_not_ready() is None,
            "reason": self.why_not_ready(),
            "brokers": {
                broker: {"accepted": self.counts.accepted[broker]}
                for broker in sorted(self._config.brokers)
            },
            "refused": dict(self.counts.refused),
            "triggers": {
                name: self._trigger_status(trigger)
                for name, trigger in sorted(self._config.triggers.items())
            },
        }

    def _trigger_status(self, trigger: Trigger) -> dict[str, object]:
        counts = self.counts.triggers.get(trigger.name, TriggerCounts())
        waits = trigger.broker not in self._config.brokers
        return {
            "broker": trigger.broker,
            "subscriber": trigger.subscriber,
            "delivered": counts.delivered,
            "retried": counts.retried,
            "dead_lettered": counts.dead_lettered,
            "dropped": counts.dropped,
            "pending": counts.pending,
            "replaying": trigger.name in self._replays,
            "note": f"waits for broker {trigger.broker}" if waits else "",
        }

    async def _keep_up(self) -> None:
        """After each connect make sure that everything exists, then go on serving."""
        await self._store.connect()
        while True:
            await self._store.connected.wait()
            try:
                async with self._changing, asyncio.timeout(10):
                    await self._store.ensure_stream()
                    await self._apply(self._config)
                    for subscription in (*self._served.values(), *self._replays.values()):
                        subscription.forget()
            except (NatsError, TimeoutError) as error:
                trouble = f": {str(error) or repr(error)}"
                if trouble != self._trouble:
                    _log.warning("JetStream does not serve yet", error=str(error) or repr(error))
                self._trouble = trouble
                await asyncio.sleep(0.2)
                continue
            self._trouble = ""
            self._store.serving.set()
            await self._store.disconnected.wait()

    async def _apply(self, config: Config) -> None:
        wanted = {
            name: trigger
            for name, trigger in config.triggers.items()
            if trigger.broker in config.brokers
        }
        # First the steps that can fail and harm nothing, then the change.
        for name, trigger in wanted.items():
            await self._store.ensure_consumer(consumer_name(name), trigger.broker)
        self._config = config
        for broker in config.brokers:
            self.counts.accepted.setdefault(broker, 0)
        gone = [
            running.pop(name).stop()
            for running in (self._served, self._replays)
            for name in running.keys() - wanted.keys()
        ]
        await asyncio.gather(*gone)
        for name in self.counts.triggers.keys() - wanted.keys():
            self.counts.triggers[name].pending = 0
        for name, trigger in wanted.items():
            for running in (self._served, self._replays):
                if name in running:
                    running[name].trigger = trigger
            if name not in self._served:
                await self._serve(trigger)
        await self._clear_away(wanted)

    async def _clear_away(self, wanted: dict[str, Trigger]) -> None:
        """Delete consumers and events of nobody; take up replays that a restart interrupted."""
        triggers = {consumer_name(name): trigger for name, trigger in wanted.items()}
        for name, info in (await self._store.consumers()).items():
            trigger = triggers.get(name.removesuffix(_REPLAY))
            if trigger is None:
                await self._store.delete_consumer(name)
            elif name.endswith(_REPLAY) and trigger.name not in self._replays:
                await self._start_replay(trigger, int((info.config.metadata or {})["until"]))
        await self._store.keep_only(self._config.brokers)

    async def _serve(self, trigger: Trigger) -> None:
        counts = self.counts.triggers.setdefault(trigger.name, TriggerCounts())
        subscription = Subscription(
            self._store, consumer_name(trigger.name), trigger, counts, self._client, self.accept
        )
        await subscription.start()
        self._served[trigger.name] = subscription

    async def _start_replay(self, trigger: Trigger, until: int) -> None:
        subscription = Subscription(
            self._store,
            consumer_name(trigger.name) + _REPLAY,
            trigger,
            self.counts.triggers[trigger.name],
            self._client,
            self.accept,
            until,
        )
        await subscription.start()
        self._replays[trigger.name] = subscription

    async def _watch(self) -> None:
        """Keep the pending counts, and end replays that are through."""
        while True:
            await self._store.serving.wait()
            try:
                async with self._changing:
                    await self._look()
            except (NatsError, TimeoutError) as error:
                _log.debug("could not ask for the consumers", error=repr(error))
            await asyncio.sleep(_WATCH_EVERY)

    async def _look(self) -> None:
        consumers = await self._store.consumers()
        for name in list(self._served):
            pending = 0
            for subscription in (self._served.get(name), self._replays.get(name)):
                info = consumers.get(subscription.consumer) if subscription else None
                if subscription is None or info is None:
                    continue
                left = (info.num_pending or 0) + (info.num_ack_pending or 0)
                pending += left
                floor = info.ack_floor.stream_seq if info.ack_floor else 0
                if subscription.until is not None and (left == 0 or floor >= subscription.until):
                    del self._replays[name]
                    await subscription.stop()
                    await self._store.delete_consumer(subscription.consumer)
                    _log.info("replayed", trigger=name, until=subscription.until)
            self.counts.triggers[name].pending = pending


def _end_with(task: asyncio.Task[None]) -> None:
    """End the process when a task of its whole life failed: its supervisor starts it anew."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the broker cannot go on", exc_info=error)
        raise SystemExit(1)
