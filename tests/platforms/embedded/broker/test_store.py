from types import SimpleNamespace

from nats.errors import TimeoutError as NatsTimeout

from closedloop.platforms.embedded.broker.store import Store


async def test_tries_of_one_event_are_one_to_nats_and_two_events_are_two() -> None:
    answered = iter([False, False, True, True])
    ids = []

    async def publish(*_: object, headers: dict[str, str], **__: object) -> SimpleNamespace:
        ids.append(headers["Nats-Msg-Id"])
        if not next(answered):
            raise NatsTimeout
        return SimpleNamespace()

    store = Store("nats://nowhere", max_bytes=1, max_age=1, hold=60)
    store.serving.set()
    store._js = SimpleNamespace(publish=publish)  # type: ignore[assignment]  # what is used of it
    await store.publish("a/b", b"{}")
    await store.publish("a/b", b"{}")
    assert len(ids) == 4
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]
