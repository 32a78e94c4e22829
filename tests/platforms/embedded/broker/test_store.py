from collections.abc import Callable
from types import SimpleNamespace

import pytest
from nats.errors import TimeoutError as NatsTimeout

from closedloop.platforms.embedded.broker.store import Store


@pytest.fixture
def store_that_hears() -> Callable[..., Store]:
    """A store whose tries end so: no answer, or whether NATS calls the event a duplicate."""

    def made(*answers: bool | None) -> Store:
        left = iter(answers)

        async def publish(*_: object, **__: object) -> SimpleNamespace:
            answer = next(left)
            if answer is None:
                raise NatsTimeout
            return SimpleNamespace(duplicate=answer)

        store = Store("nats://nowhere", max_bytes=1, max_age=1, hold=60)
        store.serving.set()
        store._js = SimpleNamespace(publish=publish)  # type: ignore[assignment]  # what is used of it
        return store

    return made


@pytest.mark.parametrize(
    ("answers", "new"),
    [
        ([False], True),
        ([True], False),
        ([None, False], True),
        ([None, True], True),  # it was stored by the try whose answer was lost
    ],
)
async def test_an_event_is_new_unless_another_publish_stored_it(
    store_that_hears: Callable[..., Store], answers: list[bool | None], new: bool
) -> None:
    assert await store_that_hears(*answers).publish("a/b", "key", b"{}") is new
