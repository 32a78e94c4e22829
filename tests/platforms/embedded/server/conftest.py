from pathlib import Path

import pytest

from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform


@pytest.fixture(scope="session")
def kubeconfig(installed: EmbeddedPlatform, installed_home: Path) -> Path:
    """The kubeconfig of the platform that all tests of its API server share."""
    found = state.read(installed_home / "platform")
    assert found
    return Path(found.kubeconfig)
