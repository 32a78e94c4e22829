import os
from pathlib import Path

import pytest

from closedloop import paths


def _checkout(folder: Path) -> Path:
    (folder / "manifests").mkdir(parents=True)
    (folder / "manifests" / "versions.yaml").touch()
    return folder.resolve()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOSEDLOOP_ROOT", raising=False)
    monkeypatch.delenv("CLOSEDLOOP_HOME", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)


def test_checkout_is_found_from_a_folder_inside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _checkout(tmp_path / "with space")
    (root / "notebooks").mkdir()
    monkeypatch.chdir(root / "notebooks")
    assert paths.checkout_root() == root
    assert paths.home() == root / ".closedloop"


def test_checkout_is_found_from_the_source_when_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(paths.__file__).is_relative_to(paths.checkout_root())


def test_named_root_that_is_no_checkout_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSEDLOOP_ROOT", str(tmp_path))
    with pytest.raises(paths.NoCheckout, match=r"holds no manifests/versions\.yaml"):
        paths.checkout_root()


def test_home_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEDLOOP_HOME", str(tmp_path / "home"))
    assert paths.platform_folder() == tmp_path / "home" / "platform"


def test_a_process_in_another_folder_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _checkout(tmp_path / "checkout")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOSEDLOOP_ROOT", "checkout")
    monkeypatch.setenv("CLOSEDLOOP_HOME", "h")
    monkeypatch.setenv("KUBECONFIG", f"mine{os.pathsep}/etc/theirs")
    assert paths.environment() == {
        "CLOSEDLOOP_ROOT": str(root),
        "CLOSEDLOOP_HOME": str(tmp_path / "h"),
        "KUBECONFIG": f"{tmp_path / 'mine'}{os.pathsep}/etc/theirs",
    }
