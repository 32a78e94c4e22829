import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.client.api import Api
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.parts import PARTS
from tests.platforms.cluster.fake_api import FakeApi
from tests.sharing import until_its_last_test


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


@pytest.fixture(scope="session")
def installed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the platform `installed`; what is installed once serves every run."""
    home = tmp_path_factory.mktemp("installed") / "a home"
    home.mkdir()
    parts_folder().mkdir(parents=True, exist_ok=True)
    (home / "parts").symlink_to(parts_folder())
    return home


@pytest.fixture(scope="session")
def installed(installed_home: Path) -> Iterator[EmbeddedPlatform]:
    """An embedded platform on which all parts are installed and nothing is applied.

    Its tests share it, on one worker: each leaves nothing behind.
    """
    # The client keeps what it reads of these; other tests must not see them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDLOOP_ROOT", str(checkout_root()))
        patch.setenv("CLOSEDLOOP_HOME", str(installed_home))
        patch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL", raising=False)
        platform = EmbeddedPlatform(parent_pid=os.getpid())
        until_its_last_test("installed", platform.down)
        try:
            for part in PARTS:
                platform.install(part)
        except BaseException:
            platform.down()
            raise
    try:
        yield platform
    finally:
        platform.down()
