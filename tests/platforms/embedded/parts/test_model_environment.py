import asyncio
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import closedloop
from closedloop.notebook.waiting import until
from closedloop.platforms.embedded.parts import model_environment as environments
from closedloop.platforms.embedded.parts.model_environment import model_environment, trained_models
from closedloop.platforms.protocol import PlatformError
from tests.platforms.embedded.run.processes import runs


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of nothing: a whole environment, made in a moment."""
    path = tmp_path / "requirements.txt"
    path.write_text("# nothing\n")
    return path


def _said(python: Path, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _left(parts: Path) -> list[str]:
    return sorted(entry.name for entry in parts.iterdir())


async def test_it_is_made_once(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    parts = tmp_path / "parts with a space"
    python = await model_environment(parts, lock, said.append)
    assert said[0].startswith("making the model servers' environment")
    said.clear()
    assert await model_environment(parts, lock, said.append) == python
    assert said == []
    assert _left(parts) == [".models.lock", python.parent.parent.name]


async def test_what_runs_in_it_is_this_code(tmp_path: Path, lock: Path) -> None:
    python = await model_environment(tmp_path / "parts", lock)
    show = "import closedloop.loop.documents, closedloop.loop.scoring; print(closedloop.__file__)"
    assert Path(_said(python, show)).samefile(closedloop.__file__)


async def test_another_lock_is_another_environment(tmp_path: Path, lock: Path) -> None:
    first = await model_environment(tmp_path / "parts", lock)
    lock.write_text("\n# nothing, said otherwise\n")
    assert await model_environment(tmp_path / "parts", lock) == first
    lock.write_text("six==1.17.0 ; sys_platform == 'win32'  # nothing here\n")
    assert await model_environment(tmp_path / "parts", lock) != first
    assert first.exists()


async def test_callers_at_the_same_time_share_one(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    one = [model_environment(tmp_path / "parts", lock, said.append) for _ in range(4)]
    assert len(set(await asyncio.gather(*one))) == 1
    assert sum(line.startswith("making") for line in said) == 1


async def test_what_an_interrupted_build_left_is_removed(tmp_path: Path, lock: Path) -> None:
    python = await model_environment(tmp_path / "parts", lock)
    made = python.parent.parent
    made.rename(made.with_name(f".{made.name}-interrupted"))
    await model_environment(tmp_path / "parts", lock)
    assert _left(tmp_path / "parts") == [".models.lock", made.name]


async def test_an_environment_whose_python_is_gone_is_made_again(
    tmp_path: Path, lock: Path
) -> None:
    python = await model_environment(tmp_path / "parts", lock)
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert _said(await model_environment(tmp_path / "parts", lock), "print('here')") == "here"


async def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path: Path, lock: Path) -> None:
    lock.write_text("there is no such requirement !!\n")
    with pytest.raises(
        PlatformError, match=r"could not be made: .*uv pip install failed: "
    ) as info:
        await model_environment(tmp_path / "parts", lock)
    assert "\n" not in str(info.value)
    assert _left(tmp_path / "parts") == [".models.lock"]


async def test_without_its_lock_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="requirements cannot be read"):
        await model_environment(tmp_path, tmp_path / "absent.txt")


async def test_without_a_fitting_python_it_says_what_to_install(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "_PYTHONS", ((3, 98), (3, 99)))
    with pytest.raises(PlatformError, match=r"need Python 3\.98 or 3\.99 .* install one"):
        await model_environment(tmp_path / "parts", lock)


async def test_a_newer_python_finds_an_older_one(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actual = tuple(sys.version_info[:2])
    monkeypatch.setattr(environments, "_RUNNING", (3, 99))
    monkeypatch.setattr(environments, "_PYTHONS", (actual, actual))
    show = "import sys; print(*sys.version_info[:2])"
    python = await model_environment(tmp_path / "parts", lock)
    assert _said(python, show).split() == [str(part) for part in actual]


@pytest.mark.embedded
async def test_models_are_trained_once_where_the_servers_look(model_python: Path) -> None:
    said: list[str] = []
    folder = await trained_models(model_python, said.append)
    assert said == []
    ask = "from closedloop.models.folder import model_folder; print(model_folder())"
    assert Path(_said(model_python, ask)).samefile(folder)
    assert {"iris-lr.joblib", "iris-percept.joblib", "model.joblib"} <= set(_left(folder))


@pytest.mark.embedded
async def test_models_are_found_when_another_way_to_them_is_gone(
    model_python: Path, tmp_path: Path
) -> None:
    environment = model_python.parent.parent
    way = tmp_path / "parts"
    way.symlink_to(environment.parent)
    await trained_models(way / environment.name / "bin" / "python")
    way.unlink()
    assert (environment / "share" / "closedloop" / "models" / "iris-lr.joblib").is_file()


@pytest.mark.embedded
async def test_missing_models_are_trained(model_python: Path, tmp_path: Path) -> None:
    # Another environment: platforms of other tests serve the models of this one.
    python = tmp_path / "models-1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(str(model_python))} "$@"\n')
    python.chmod(0o755)
    said: list[str] = []
    for _ in range(2):
        folder = await trained_models(python, said.append)
        assert said[0] == "training the models"
        assert (folder / "model.joblib").is_file()
        shutil.rmtree(folder)
        said.clear()


# A Python that trains for ever, in a process of its own.
SLOW = """#!/bin/sh
sleep 600 &
echo $$ $! > "$(dirname "$0")/pids.new" && mv "$(dirname "$0")/pids.new" "$(dirname "$0")/pids"
wait
"""
# A daemon that is training; its arguments are that Python.
DAEMON = """
import asyncio, sys
from pathlib import Path
from closedloop.platforms.embedded.parts.model_environment import (trained_models)
from closedloop.platforms.embedded.run.process import (Guardian)
async def main():
    await trained_models(Path(sys.argv[1]), guardian=await Guardian.start())
asyncio.run(main())
"""


@pytest.fixture
def slow_python(tmp_path: Path) -> Path:
    python = tmp_path / "parts" / "models-1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(SLOW)
    python.chmod(0o755)
    return python


def _training(python: Path) -> list[int]:
    pids = python.with_name("pids")
    until(pids.exists, what="the training to begin", timeout=60, every=0.01)
    return [int(pid) for pid in pids.read_text().split()]


async def test_an_interruption_ends_what_runs_and_leaves_nothing(slow_python: Path) -> None:
    task = asyncio.create_task(trained_models(slow_python))
    pids = await asyncio.to_thread(_training, slow_python)
    assert all(map(runs, pids))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    until(lambda: not any(map(runs, pids)), what="the training to end", timeout=60, every=0.01)
    assert _left(slow_python.parent.parent) == ["bin"]


async def test_an_interruption_ends_the_wait_for_another_process(slow_python: Path) -> None:
    one, other = (asyncio.create_task(trained_models(slow_python)) for _ in range(2))
    await asyncio.to_thread(_training, slow_python)
    for task in (other, one):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_daemon_that_is_killed_takes_its_training_with_it(slow_python: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DAEMON, slow_python]) as daemon:
        pids = _training(slow_python)
        daemon.send_signal(signal.SIGKILL)
    until(lambda: not any(map(runs, pids)), what="the training to end", timeout=60, every=0.01)
