"""The wheel alone, in an environment and a folder with nothing else, as a user would have it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from closedloop.paths import checkout_root
from closedloop.platforms.client.own_models import LOCK
from closedloop.platforms.embedded.parts.model_environment import model_environment
from closedloop.suite.export import CARRIED
from closedloop.suite.results import results
from tests.end_to_end.unprivileged import unprivileged
from tests.notebooks.expected import EXPECTED

pytestmark = [pytest.mark.embedded, pytest.mark.notebook, pytest.mark.timeout(900)]


class _User:
    """A user in a folder of its own, with the wheel in an environment and no privileges."""

    def __init__(self, environment: Path, folder: Path, as_user: tuple[str, ...]) -> None:
        self.folder = folder
        self.program: tuple[str, ...] = (str(environment / "bin" / "closedloop"),)
        self._as_user = as_user
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CLOSEDLOOP", "PYTHON", "VIRTUAL_ENV", "XDG"))
        }
        self._env = {**kept, "HOME": str(folder / "home"), "COLUMNS": "200"}

    def run(self, *arguments: str, at: str = ".") -> str:
        done = subprocess.run(
            [*self._as_user, *self.program, *arguments],
            cwd=self.folder / at,
            env=self._env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def wheel() -> Iterator[Path]:
    """The wheel, in a folder that is open to every user and has `locked.txt` as well.

    That has the versions of the lock: what the registry has of newer ones is not tested here.
    """
    with tempfile.TemporaryDirectory(prefix="closedloop-wheel-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = checkout_root()
        locked = ("--frozen", "--no-dev", "--no-emit-project", "--no-hashes")
        _uv("build", "--wheel", "--out-dir", folder, root)
        _uv("export", "--project", root, *locked, "--output-file", folder / "locked.txt")
        (built,) = folder.glob("*.whl")
        yield built


def _uv(*words: str | Path) -> None:
    quiet = [find_uv_bin(), "--quiet", *words]
    subprocess.run(quiet, check=True, cwd="/", stdout=subprocess.DEVNULL)


_PYTHON = str(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """An environment that has the wheel and what it depends on, open to every user."""
    made = wheel.parent / "env"
    _uv("venv", "--python", _PYTHON, made)
    constrained = ("--constraint", wheel.parent / "locked.txt", wheel)
    _uv("pip", "install", "--python", made / "bin" / "python", *constrained)
    return made


@pytest.fixture
def user(environment: Path, shared_parts: Path) -> Iterator[_User]:
    as_user, owner = unprivileged(shared_parts, str(environment / "bin" / "python"))
    folder = Path(tempfile.mkdtemp(prefix="empty-"))
    data = folder / "home" / ".local" / "share" / "closedloop"
    data.mkdir(parents=True)
    # What is installed once serves every test; that it is installed is the environments' test.
    (data / "parts").symlink_to(shared_parts)
    for each in (folder, *folder.rglob("*")):
        os.chown(each, owner, owner, follow_symlinks=False)
    one = _User(environment, folder, as_user)
    try:
        yield one
    finally:
        one.run("down")
        shutil.rmtree(folder)
        # Its model servers took the package of this environment, which ends: again that of ours.
        asyncio.run(model_environment(shared_parts, checkout_root() / LOCK))


def test_demo_and_export_need_no_checkout_and_no_privileges(user: _User) -> None:
    said = user.run("demo", "--test", "--only", "01", "--keep", "--junit", "tests.xml")
    (out,) = (user.folder / "out").iterdir()
    run = json.loads((out / "run.json").read_text())
    assert run["ok"], said
    EXPECTED["01"](results(out / "01_platform.ipynb"))
    assert 'name="01_platform"' in (user.folder / "tests.xml").read_text()
    # The picture that the notebook names came with the wheel.
    assert "data:image/png;base64" in (out / "01_platform.html").read_text()
    assert "elasticsearch" in user.run("status")

    user.run("export", "mine")
    for name in CARRIED:
        assert (user.folder / "mine" / name).exists()
    notebook = user.folder / "mine" / "notebooks" / "01_platform.ipynb"
    notebook.write_text(notebook.read_text().replace("# 1 · The platform", "# 1 · Mine"))
    data = user.folder / "home" / ".local" / "share" / "closedloop"
    (user.folder / "mine" / ".closedloop").symlink_to(data)
    user.run("run", "--test", "--only", "01", "--out", "again", at="mine")
    assert "1 · Mine" in (user.folder / "mine" / "again" / "01_platform.html").read_text()


_UVX = (str(Path(find_uv_bin()).with_name("uvx")), "--python", _PYTHON)


@pytest.mark.nightly
@pytest.mark.parametrize("runner", ["uvx", "pipx"])
def test_a_runner_of_tools_needs_the_wheel_alone(user: _User, wheel: Path, runner: str) -> None:
    """With empty caches: whatever it needs is brought by the runner or by closedloop itself."""
    locked = str(wheel.parent / "locked.txt")
    user.program = (*_UVX, "--constraints", locked, "--from", str(wheel), "closedloop")
    if runner == "pipx":
        brought = ("--python", _PYTHON, "--pip-args", f"--constraint {locked}")
        user.program = (*_UVX, "pipx", "run", *brought, "--spec", str(wheel), "closedloop")
    user.run("export", "mine")
    assert {path.name for path in (user.folder / "mine").iterdir()} == {
        name.partition("/")[0] for name in CARRIED
    }
    assert "seldon/sklearn closes the loop." in user.run("test-drive")
