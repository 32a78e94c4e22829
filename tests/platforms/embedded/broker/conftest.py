"""Parts for the tests of the broker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.platforms.embedded.broker.parts import BrokerProcess, Nats, Subscriber


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    part = Nats(tmp_path)
    part.start()
    yield part
    part.close()


@pytest.fixture
def broker(tmp_path: Path, nats: Nats) -> Iterator[BrokerProcess]:
    """Not started: configure it first."""
    part = BrokerProcess(tmp_path, nats)
    yield part
    part.close()


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with Subscriber().running() as one:
        yield one


@pytest.fixture
def other() -> Iterator[Subscriber]:
    with Subscriber().running() as one:
        yield one


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
