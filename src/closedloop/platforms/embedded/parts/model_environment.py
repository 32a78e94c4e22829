"""The model servers' own Python environment, and the models trained in it.

Seldon's wrapper pins an urllib3, a numpy and a prometheus_client of its time;
beside ours they would ruin both, so it gets an environment of its own, from
the same lock as the image in `docker/iris`. This package is linked into it,
not copied: the code that runs is always the checkout's, and one folder of parts
serves one checkout.
"""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import closedloop
from closedloop.platforms.client.own_models import find_uv, no_index, pip_settings
from closedloop.platforms.embedded.run.exclusive import exclusive
from closedloop.platforms.embedded.run.process import Guardian, start
from closedloop.platforms.protocol import PlatformError

Progress = Callable[[str], None]

# scikit-learn 1.9 needs 3.11, numpy 1.26 has no wheel for 3.13.
_PYTHONS = ((3, 11), (3, 12))
_RUNNING = sys.version_info[:2]
_COMMENT = re.compile(r"(^|\s+)#.*")
_MODELS = Path("share") / "closedloop" / "models"


class _Failed(PlatformError):
    """A program ended with a status other than 0; `last` is the last line that it said."""

    def __init__(self, message: str, last: str) -> None:
        super().__init__(message)
        self.last = last


def _silent(_: str) -> None:
    """No report of progress."""


async def model_environment(
    parts: Path,
    requirements: Path,
    progress: Progress = _silent,
    guardian: Guardian | None = None,
) -> Path:
    """The interpreter of the environment, made from the lock `requirements` if it is not there.

    It lies at `<parts>/models-<hash>`. Several processes may ask at once; one
    makes it and the others wait. `progress` gets a line now and then; `guardian`
    ends its programs should we be killed. Raises `PlatformError`.
    """
    try:
        lock = _asked(requirements.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlatformError(
            f"the model servers' requirements cannot be read: {error}: run in a whole checkout"
        ) from None
    uv = find_uv()
    base = await asyncio.to_thread(_interpreter, uv)  # a moment: nothing is fetched by it
    name = "models-" + hashlib.sha256(f"{lock}{base}".encode()).hexdigest()[:12]
    environment = parts / name
    python = environment / "bin" / "python"
    async with _exclusive(parts, progress):
        if not python.exists():
            await _remove(environment)
            progress("making the model servers' environment (once, about 10 s)")
            async with aside(parts, name) as building:
                venv = ("venv", "--quiet", "--relocatable", "--python", base, building)
                await _run([uv, *venv], progress, guardian)
                install = ("pip", "install", "--no-deps", "--python", building / "bin/python")
                options = (*no_index(os.environ), "--requirement", str(requirements))
                command: list[str | Path] = [uv, *install, *options]
                # It leaves lock files in the temp folder.
                await _run(command, progress, guardian, TMPDIR=str(building))
                building.rename(environment)
        _link(Path(closedloop.__file__).parent, _site_packages(environment) / "closedloop")
    return python


async def trained_models(
    python: Path, progress: Progress = _silent, guardian: Guardian | None = None
) -> Path:
    """The folder of models trained with the environment of `python`, which serves them from it.

    They are trained if they are not there, or not by the training code as it is.
    Raises `PlatformError`.
    """
    environment = python.parent.parent
    models = Path(closedloop.__file__).parent / "models"
    code = b"".join((models / name).read_bytes() for name in ("train.py", "others.py"))
    name = "trained-" + hashlib.sha256(code).hexdigest()[:12]
    trained = environment / name
    async with _exclusive(environment.parent, progress):
        if not trained.exists():
            progress("training the models")
            async with aside(environment, name) as building:
                train = ("-m", "closedloop.models.train", "--out", building)
                await _run([python, *train], progress, guardian)
                building.rename(trained)
        # Where closedloop.models.folder looks when MODEL_FOLDER is not set. Relative: the folder
        # of parts may be reached by a path that is gone tomorrow.
        _link(Path(*[".."] * len(_MODELS.parent.parts), name), environment / _MODELS)
    return trained


async def check_model(python: Path, folder: Path, guardian: Guardian | None = None) -> None:
    """Load the model of a folder as the wrapper would. Raises `PlatformError` with its sentence."""
    check = ("-m", "closedloop.models.own", "--check", folder)
    try:
        await _run([python, *check], _silent, guardian)
    except _Failed as error:
        raise PlatformError(error.last) from None


def _asked(lock: str) -> str:
    """A lock without its comments: what installs the same is one environment."""
    lines = (_COMMENT.sub("", line) for line in lock.splitlines())
    return "\n".join(filter(None, lines))


def _interpreter(uv: Path) -> Path:
    """A Python for the environment: that of this process if it fits, else one uv finds."""
    if _RUNNING in _PYTHONS:
        return Path(getattr(sys, "_base_executable", sys.executable))
    (*_, oldest), (*_, newest) = _PYTHONS
    wanted = f">=3.{oldest},<3.{newest + 1}"
    found = subprocess.run(
        [uv, "python", "find", "--no-project", "--no-python-downloads", wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        raise PlatformError(
            f"model servers need Python 3.{oldest} or 3.{newest} and this machine has neither:"
            f" install one, for instance with uv python install 3.{newest}"
        )
    return Path(found.stdout.strip())


def _site_packages(environment: Path) -> Path:
    (found,) = (environment / "lib").glob("python3.*/site-packages")
    return found


def _link(target: Path, link: Path) -> None:
    """Make `link` a symbolic link to `target`, at no moment absent."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


@asynccontextmanager
async def aside(folder: Path, name: str) -> AsyncIterator[Path]:
    """A new folder to build in; the leftovers of interrupted builds are removed first."""
    prefix = f".{name}-"
    for left in folder.glob(f"{prefix}*"):
        await _remove(left)
    building = Path(mkdtemp(prefix=prefix, dir=folder))
    building.chmod(0o755)  # as any folder, once it has its name
    try:
        yield building
    finally:
        # Here and now: after an interruption nothing may wait for it.
        shutil.rmtree(building, ignore_errors=True)


async def _remove(folder: Path) -> None:
    """Remove thousands of files while the rest of us goes on."""
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _exclusive(parts: Path, progress: Progress) -> AbstractAsyncContextManager[None]:
    waits = partial(progress, "waiting for another process that prepares the models")
    return exclusive(parts / ".models.lock", waits)


async def _run(
    command: Sequence[str | Path], progress: Progress, guardian: Guardian | None, **extra: str
) -> None:
    """Run to the end, passing its lines on; when we are interrupted it is killed.

    Raises `PlatformError` with the last of its lines.
    """
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    env = {name: value for name, value in os.environ.items() if name not in foreign}
    env |= pip_settings(env) | extra
    child = await start([str(word) for word in command], env, log=None, guardian=guardian)
    assert child.output is not None
    lines = [""]
    try:
        async for said in child.output:
            line = said.decode(errors="replace")
            lines += filter(None, (line.strip(),))
            # One line for each of forty packages says nothing to anyone.
            if line.strip() and not line.startswith(" + "):
                progress(line.strip())
        status = await child.wait()
    except BaseException:
        child.signal(signal.SIGKILL)
        await child.wait()
        raise
    if status:
        last = " ".join(lines)[-500:].strip()
        step = " ".join(str(word) for word in command[:3])
        raise _Failed(
            f"the model servers' environment could not be made: {step} failed: {last}:"
            " see to that and try again",
            lines[-1],
        )
