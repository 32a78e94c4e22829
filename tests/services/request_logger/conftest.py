"""A search server for the whole session, and an index for each test."""

import uuid
from collections.abc import Iterator

import pytest

from tests.elasticsearch import SearchServer, search_server


@pytest.fixture(scope="session")
def server() -> Iterator[SearchServer]:
    with search_server() as running:
        yield running


@pytest.fixture
def deployment() -> str:
    """A deployment, and so an index, of the test's own."""
    return f"iris-{uuid.uuid4().hex[:8]}"
