"""The command that prints how kubectl reaches the embedded platform."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from closedloop.cli.app import app
from closedloop.paths import platform_folder
from closedloop.platforms.embedded import state


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOSEDLOOP_HOME", str(tmp_path))
    return tmp_path


def test_without_a_platform_there_is_none() -> None:
    result = CliRunner().invoke(app, ["kubeconfig"])
    assert result.exit_code == 1
    assert "closedloop up" in result.output


def test_it_is_printed_or_its_path(tmp_path: Path) -> None:
    folder = platform_folder()
    folder.mkdir(parents=True)
    file = tmp_path / "kubeconfig"
    file.write_text("kind: Config\n")
    held = state.lock(folder)
    assert held
    with held:
        state.write(folder, state.DaemonState(1, str(file), str(tmp_path)))
        assert CliRunner().invoke(app, ["kubeconfig"]).output == "kind: Config\n"
        assert CliRunner().invoke(app, ["kubeconfig", "--path"]).output == f"{file}\n"
