"""One platform with every part and model, for all tests that talk to its API server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.parts import PARTS


@pytest.fixture(scope="package")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a platform on which all parts are installed and nothing is applied."""
    home = tmp_path_factory.mktemp("api-server")
    # What is installed once serves every run.
    parts = parts_folder()
    parts.mkdir(parents=True, exist_ok=True)
    (home / "parts").symlink_to(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDLOOP_ROOT", str(checkout_root()))
        patch.setenv("CLOSEDLOOP_HOME", str(home))
        patch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL", raising=False)
        platform = EmbeddedPlatform(parent_pid=os.getpid())
        try:
            for part in PARTS:
                platform.install(part)
            found = state.read(home / "platform")
            assert found
            yield Path(found.kubeconfig)
        finally:
            platform.down()
