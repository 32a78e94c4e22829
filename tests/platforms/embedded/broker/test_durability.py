"""Kill -9 of the parts in the middle of traffic: every accepted event is delivered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from closedloop.platforms.embedded.desired import Delivery
from tests.platforms.embedded.broker.parts import (
    BrokerProcess,
    Nats,
    Subscriber,
    awhile,
    event,
    trigger,
)

pytestmark = [pytest.mark.embedded, pytest.mark.chaos]

PATIENT = Delivery(retry=12, delay=0.05)


class Sender:
    """Sends numbered events from eight tasks, each again until it is accepted."""

    def __init__(self, broker: BrokerProcess, client: aiohttp.ClientSession) -> None:
        self.accepted: set[str] = set()
        self._broker = broker
        self._client = client
        self._number = 0
        self._stopped = False

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(self._send())
            yield
            self._stopped = True

    async def reaches(self, goal: int) -> None:
        await awhile(lambda: len(self.accepted) > goal)

    async def _send(self) -> None:
        while not self._stopped:
            self._number += 1
            headers = event(self._number)
            while headers["ce-id"] not in self.accepted:
                try:
                    async with self._client.post(self._broker.ingress, headers=headers) as answer:
                        if answer.status == 202:
                            self.accepted.add(headers["ce-id"])
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)


async def test_nats_killed_in_the_middle_of_traffic(
    broker: BrokerProcess, nats: Nats, subscriber: Subscriber, client: aiohttp.ClientSession
) -> None:
    broker.configure(trigger("all", subscriber.url, delivery=PATIENT))
    broker.start()
    sender = Sender(broker, client)
    async with sender.sending():
        for goal in (200, 400, 600):
            await sender.reaches(goal)
            nats.kill()
            nats.start()
    await awhile(lambda: set(subscriber.ids) == sender.accepted)
    assert "Traceback" not in broker.log()


async def test_the_broker_killed_in_the_middle_of_deliveries(
    broker: BrokerProcess, subscriber: Subscriber, other: Subscriber, client: aiohttp.ClientSession
) -> None:
    flaky = iter(range(10**9))
    subscriber.answer = lambda _: web.Response(status=503 if next(flaky) % 3 == 0 else 204)
    broker.configure(
        trigger("flaky", subscriber.url, delivery=PATIENT),
        trigger("steady", other.url, delivery=PATIENT),
    )
    broker.start()
    sender = Sender(broker, client)
    async with sender.sending():
        for goal in (200, 400):
            await sender.reaches(goal)
            broker.kill()
            await asyncio.to_thread(broker.start)
    await awhile(lambda: set(subscriber.ids) == set(other.ids) == sender.accepted)


async def test_both_killed_while_the_subscriber_is_away(
    broker: BrokerProcess, nats: Nats, subscriber: Subscriber, client: aiohttp.ClientSession
) -> None:
    up = asyncio.Event()
    subscriber.answer = lambda _: web.Response(status=204 if up.is_set() else 503)
    broker.configure(trigger("all", subscriber.url, delivery=PATIENT))
    broker.start()
    sender = Sender(broker, client)
    async with sender.sending():
        await sender.reaches(100)
    broker.kill()
    nats.kill()
    nats.start()
    seen = len(subscriber.events)
    up.set()
    broker.start()
    await awhile(lambda: sender.accepted <= {h["ce-id"] for h, _ in subscriber.events[seen:]})


async def test_an_interrupted_replay_goes_on_after_a_kill(
    broker: BrokerProcess, subscriber: Subscriber, client: aiohttp.ClientSession
) -> None:
    broker.configure(trigger("all", subscriber.url, delivery=PATIENT))
    broker.start()
    sender = Sender(broker, client)
    async with sender.sending():
        await sender.reaches(300)
    await awhile(lambda: set(subscriber.ids) == sender.accepted)
    subscriber.events.clear()
    subscriber.answer = lambda _: web.Response(status=503)
    async with client.post(f"{broker.url}/-/replay?trigger=seldon-logs/all") as answer:
        assert answer.status == 202
    await awhile(lambda: len(subscriber.events) > 50)
    broker.kill()
    subscriber.events.clear()
    subscriber.answer = lambda _: web.Response()
    await asyncio.to_thread(broker.start)
    await awhile(lambda: set(subscriber.ids) == sender.accepted)
    await awhile(lambda: not broker.status()["triggers"]["seldon-logs/all"]["replaying"])


async def test_a_lost_store_is_made_again(
    broker: BrokerProcess, nats: Nats, subscriber: Subscriber, client: aiohttp.ClientSession
) -> None:
    broker.configure(trigger("all", subscriber.url))
    broker.start()
    async with client.post(broker.ingress, headers=event("old")):
        await awhile(lambda: "eold" in subscriber.ids)
    nats.kill()
    (nats.folder / "store").rename(nats.folder / "lost")
    nats.start()
    for number in range(20):
        async with client.post(broker.ingress, headers=event(number)) as answer:
            assert answer.status == 202
    await awhile(lambda: len(subscriber.ids) == 21)
