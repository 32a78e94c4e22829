from collections.abc import AsyncIterator

import pytest

from tests.platforms.embedded.executor.rig import Rig, rig


@pytest.fixture
async def loop_rig() -> AsyncIterator[Rig]:
    """An executor that logs everything, as the manifests have it."""
    async with rig() as running:
        yield running
