import os
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke


@pytest.mark.parametrize("words", [("--offline", "mirror"), ()])
def test_notebooks_find_the_offline_folder_from_a_folder_of_their_own(
    words: tuple[str, ...], invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOSEDLOOP_OFFLINE", "mirror")
    invoke("down", *words)
    assert os.environ["CLOSEDLOOP_OFFLINE"] == str(tmp_path / "mirror")
