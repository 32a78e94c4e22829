from pathlib import Path

import pytest

from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.platforms.protocol import PlatformError


@pytest.mark.parametrize("home", ["/proc/nohome", __file__])
def test_a_home_that_cannot_be_made_is_named(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEDLOOP_HOME", home)
    with pytest.raises(PlatformError) as caught:
        EmbeddedPlatform().apply("namespaces")
    said = str(caught.value)
    assert said.startswith(f"{Path(home) / 'platform'} cannot be made: ")
    assert said.endswith("set CLOSEDLOOP_HOME to a folder that you may write to")
