"""A search server for the whole session."""

from collections.abc import Iterator

import pytest

from tests.elasticsearch import SearchServer, search_server


@pytest.fixture(scope="session")
def server() -> Iterator[SearchServer]:
    with search_server() as running:
        yield running
