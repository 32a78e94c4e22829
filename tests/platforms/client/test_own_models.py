import shutil
from pathlib import Path

import pytest

from closedloop.paths import checkout_root
from closedloop.platforms.client import own_models
from closedloop.platforms.client.own_models import no_index, pip_settings, source_of
from closedloop.platforms.protocol import PlatformError

ROOT = checkout_root()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "My model"
    made.mkdir()
    (made / "Mine.py").write_text("class Mine:\n    def predict(self, features): ...\n")
    (made / "requirements.txt").write_text("numpy==1.26.4\n")
    return made


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requirements that were resolved: here at once, without an index."""
    asked: list[str] = []

    def resolve(requirements: Path, root: Path, scratch: Path) -> str:
        asked.append(requirements.read_text())
        return f"# lock\n{asked[-1]}"

    monkeypatch.setattr(own_models, "_resolved", resolve)
    return asked


def test_the_same_content_is_the_same_image(
    folder: Path, resolved: list[str], tmp_path: Path
) -> None:
    first = source_of(folder, ROOT, tmp_path)
    assert first.image.startswith("closedloop/model-my-model:")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "Mine.pyc").touch()
    (folder / ".hidden").touch()
    assert source_of(folder, ROOT, tmp_path).image == first.image
    assert resolved == ["numpy==1.26.4\n"]


def test_another_content_or_requirement_is_another_image(
    folder: Path, resolved: list[str], tmp_path: Path
) -> None:
    images = {source_of(folder, ROOT, tmp_path).image}
    (folder / "weights.json").write_text("[1]")
    images.add(source_of(folder, ROOT, tmp_path).image)
    (folder / "weights.json").write_text("[2]")
    images.add(source_of(folder, ROOT, tmp_path).image)
    (folder / "requirements.txt").write_text("numpy==1.26.3\n")
    images.add(source_of(folder, ROOT, tmp_path).image)
    assert len(images) == 4
    assert resolved == ["numpy==1.26.4\n", "numpy==1.26.3\n"]


def test_what_is_copied_is_what_counts(folder: Path, resolved: list[str], tmp_path: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text("a")
    (folder / ".hidden").touch()
    source_of(folder, ROOT, tmp_path).copy_to(tmp_path / "copy")
    copied = [str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*.*")]
    assert sorted(copied) == ["Mine.py", "data/a.txt", "requirements.txt"]


def test_a_folder_at_fault_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "requirements.txt").unlink()
    with pytest.raises(PlatformError, match=r"My model has no requirements\.txt: add one"):
        source_of(folder, ROOT, tmp_path)
    (folder / "Mine.py").unlink()
    with pytest.raises(PlatformError, match="holds neither a file"):
        source_of(folder, ROOT, tmp_path)


def test_requirements_that_cannot_be_read_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "requirements.txt").write_text("numpy =! 3\n")
    with pytest.raises(PlatformError, match=r"requirements\.txt cannot be installed .*=!") as info:
        source_of(folder, ROOT, tmp_path / "locks")
    assert "\n" not in str(info.value)
    assert list((tmp_path / "locks").iterdir()) == []


@pytest.mark.nightly
@pytest.mark.parametrize("asked", ["no-such-package-as-this==1", "numpy==2.1.0"])
def test_requirements_that_do_not_go_together_name_the_package(
    asked: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "requirements.txt").write_text(f"{asked}\n")
    with pytest.raises(PlatformError, match=f"cannot be installed .*{asked}.*: correct it"):
        source_of(folder, ROOT, tmp_path)


@pytest.mark.nightly
def test_what_the_walkthroughs_models_have_is_kept_to(folder: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "tumour" / "all-measurements" / "requirements.txt", folder)
    locked = source_of(folder, ROOT, tmp_path).lock.splitlines()
    lines = (ROOT / "docker" / "iris" / "requirements.txt").read_text().splitlines()
    assert locked == [line for line in lines if not line.lstrip().startswith("#")]


def test_uv_is_told_what_pip_is(tmp_path: Path) -> None:
    environ = {
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example https://b.example",
        "PIP_FIND_LINKS": f"{tmp_path} {tmp_path / 'absent'} https://links.example",
        "PIP_CERT": "/etc/cert.pem",
    }
    assert pip_settings(environ) == {
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "UV_FIND_LINKS": f"{tmp_path},https://links.example",
        "SSL_CERT_FILE": "/etc/cert.pem",
    }
    assert "UV_DEFAULT_INDEX" not in pip_settings({**environ, "UV_DEFAULT_INDEX": "mine"})


@pytest.mark.parametrize(("told", "options"), [("1", ("--no-index",)), ("0", ()), ("", ())])
def test_uv_asks_no_index_where_pip_does_not(told: str, options: tuple[str, ...]) -> None:
    assert no_index({"PIP_NO_INDEX": told}) == options
