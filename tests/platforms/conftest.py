from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop.platforms.client.api import Api
from tests.platforms.cluster.fake_api import FakeApi


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApi]:
    """A fake API server with the namespaces that every cluster has."""
    server = FakeApi()
    with server.running(tmp_path):
        for name in ("default", "kube-system"):
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield server


@pytest.fixture
def api(fake: FakeApi, tmp_path: Path) -> Api:
    return Api(tmp_path / "kubeconfig", "test")
