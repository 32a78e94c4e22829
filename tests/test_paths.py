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
        "CLOSEDLOOP_CALLED_IN": str(tmp_path),
    }


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy that a wheel has, where no checkout is near."""
    copy = _checkout(tmp_path / "site-packages" / "closedloop" / "checkout")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr(paths, "_PACKAGED", copy)
    monkeypatch.setattr(paths, "__file__", str(copy.parent / "paths.py"))
    return copy


def test_without_a_checkout_the_packages_copy_is_used(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert paths.checkout_root() == package
    assert paths.out_folder() == tmp_path / "empty" / "out"
    assert paths.home() == tmp_path / "me" / ".local" / "share" / "closedloop"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert paths.home() == tmp_path / "data" / "closedloop"


def test_a_checkout_comes_before_the_packages_copy(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = _checkout(tmp_path / "mine")
    monkeypatch.chdir(mine)
    assert paths.checkout_root() == mine
    assert paths.out_folder() == mine / "out"
    assert paths.home() == mine / ".closedloop"
