import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import closedloop
from closedloop.platforms.embedded import environments
from closedloop.platforms.embedded.environments import model_environment, trained_models
from closedloop.platforms.protocol import PlatformError


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of nothing: a whole environment, made in a moment."""
    path = tmp_path / "requirements.txt"
    path.write_text("# nothing\n")
    return path


def _left(parts: Path) -> list[str]:
    return sorted(entry.name for entry in parts.iterdir())


def test_it_is_made_once(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    parts = tmp_path / "parts with a space"
    python = model_environment(parts, lock, said.append)
    assert said[0].startswith("making the model servers' environment")
    said.clear()
    assert model_environment(parts, lock, said.append) == python
    assert said == []
    assert _left(parts) == [".models.lock", python.parent.parent.name]


def test_what_runs_in_it_is_this_code(tmp_path: Path, lock: Path) -> None:
    python = model_environment(tmp_path / "parts", lock)
    show = "import closedloop.documents, closedloop.scoring; print(closedloop.__file__)"
    done = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).samefile(closedloop.__file__)


def test_another_lock_is_another_environment(tmp_path: Path, lock: Path) -> None:
    first = model_environment(tmp_path / "parts", lock)
    lock.write_text("# nothing else\n")
    assert model_environment(tmp_path / "parts", lock) != first
    assert first.exists()


def test_callers_at_the_same_time_share_one(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        made = set(
            pool.map(lambda _: model_environment(tmp_path / "parts", lock, said.append), range(4))
        )
    assert len(made) == 1
    assert sum(line.startswith("making") for line in said) == 1


def test_what_an_interrupted_build_left_is_removed(tmp_path: Path, lock: Path) -> None:
    python = model_environment(tmp_path / "parts", lock)
    made = python.parent.parent
    made.rename(made.with_name(f".{made.name}-interrupted"))
    model_environment(tmp_path / "parts", lock)
    assert _left(tmp_path / "parts") == [".models.lock", made.name]


def test_an_environment_whose_python_is_gone_is_made_again(tmp_path: Path, lock: Path) -> None:
    python = model_environment(tmp_path / "parts", lock)
    python.unlink()
    python.symlink_to("/nowhere/python3")
    subprocess.run([model_environment(tmp_path / "parts", lock), "-c", ""], check=True)


def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path: Path, lock: Path) -> None:
    lock.write_text("there is no such requirement !!\n")
    with pytest.raises(
        PlatformError, match=r"could not be made: .*uv pip install failed: "
    ) as info:
        model_environment(tmp_path / "parts", lock)
    assert "\n" not in str(info.value)
    assert _left(tmp_path / "parts") == [".models.lock"]


def test_without_its_lock_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="requirements cannot be read"):
        model_environment(tmp_path, tmp_path / "absent.txt")


def test_without_a_fitting_python_it_says_what_to_install(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "_PYTHONS", ((3, 98), (3, 99)))
    with pytest.raises(PlatformError, match=r"need Python 3\.98 or 3\.99 .* install one"):
        model_environment(tmp_path / "parts", lock)


def test_a_newer_python_finds_an_older_one(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actual = tuple(sys.version_info[:2])
    monkeypatch.setattr(environments, "_RUNNING", (3, 99))
    monkeypatch.setattr(environments, "_PYTHONS", (actual, actual))
    show = "import sys; print(*sys.version_info[:2])"
    python = model_environment(tmp_path / "parts", lock)
    done = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(part) for part in actual]


@pytest.mark.embedded
def test_models_are_trained_once_where_the_servers_look(model_python: Path) -> None:
    said: list[str] = []
    folder = trained_models(model_python, said.append)
    assert said == []
    ask = "from closedloop.models.folder import model_folder; print(model_folder())"
    done = subprocess.run([model_python, "-c", ask], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).samefile(folder)
    assert {"iris-lr.joblib", "iris-percept.joblib", "model.joblib"} <= set(_left(folder))


@pytest.mark.embedded
def test_models_are_found_when_another_way_to_them_is_gone(
    model_python: Path, tmp_path: Path
) -> None:
    environment = model_python.parent.parent
    way = tmp_path / "parts"
    way.symlink_to(environment.parent)
    trained_models(way / environment.name / "bin" / "python")
    way.unlink()
    assert (environment / "share" / "closedloop" / "models" / "iris-lr.joblib").is_file()


@pytest.mark.embedded
def test_missing_models_are_trained(model_python: Path) -> None:
    said: list[str] = []
    shutil.rmtree(trained_models(model_python))
    folder = trained_models(model_python, said.append)
    assert said[0] == "training the iris models"
    assert (folder / "model.joblib").is_file()
