"""The URL of the session's search server, which has no index when a test begins."""

import pytest
from elasticsearch import Elasticsearch


@pytest.fixture
def url(search: Elasticsearch) -> str:
    (node,) = search.transport.node_pool.all()
    return node.base_url
