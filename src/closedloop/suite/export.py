"""Notebooks, manifests and their companions, written out to be changed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from closedloop.suite import SuiteError

# The folders and files of a checkout that a wheel carries (`pyproject.toml`).
CARRIED = (
    *("manifests", "notebooks", "img", "examples"),
    *("docker/iris/requirements.txt", "docker/model"),
)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


def write_checkout(root: Path, folder: Path) -> Iterator[Path]:
    """Copy notebooks, pictures, manifests, example models and what models run with from `root`.

    Yields each file or folder at its new place. Raises `SuiteError` if there is
    something in `folder` already: nothing there is overwritten.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise SuiteError(f"{folder} is not empty: name a new folder")
    for name in CARRIED:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=_LEFT_OUT)
        else:
            shutil.copyfile(source, target)
        yield target
