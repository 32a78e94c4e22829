"""Parts for the tests of the broker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.platforms.embedded.broker.parts import BrokerProcess, Nats, OwnBroker, Subscriber


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


@pytest.fixture(scope="package")
def _lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    nats = Nats(folder)
    process = BrokerProcess(folder, nats)
    try:
        nats.start()
        process.start()
        yield process
    finally:
        process.close()
        nats.close()


@pytest.fixture
def own(_lasting: BrokerProcess) -> OwnBroker:
    """A broker for a test that neither ends nor sets up its process. Start it to configure it."""
    return OwnBroker(_lasting)


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
