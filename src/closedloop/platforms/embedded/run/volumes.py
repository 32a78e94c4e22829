"""The files of volumes, replaced under the eyes of their readers, as the kubelet does it.

A folder shows each file as a link through `..data`, itself a link to a folder
of this moment's files. One rename turns `..data` to the next such folder, so
that a reader sees all of the old files, or all of the new ones.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from closedloop.platforms.embedded.desired import File, Files

_NOW = "..data"


def write_all(folders: Mapping[str, Files]) -> None:
    """Make each folder hold exactly its files. Raises OSError."""
    for path, files in folders.items():
        write(Path(path), files)


def write(folder: Path, files: Files) -> None:
    """Make a folder hold exactly these files; one that does stays untouched. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = folder / _NOW
    before = now.resolve() if now.exists() else None
    if before is None or not _holds(before, files):
        new = _filled(folder, files)
        aside = folder / "..data_tmp"
        aside.unlink(missing_ok=True)
        aside.symlink_to(new.name)
        aside.replace(now)
    shown = {name.partition("/")[0] for name in files}
    there = {entry.name for entry in os.scandir(folder) if not entry.name.startswith("..")}
    for name in shown - there:
        (folder / name).symlink_to(f"{_NOW}/{name}")
    for name in there - shown:
        (folder / name).unlink()
    if before is not None and before != now.resolve():
        shutil.rmtree(before)


def _filled(folder: Path, files: Files) -> Path:
    """A new folder of this moment's files."""
    new = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    for name, file in files.items():
        path = new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(_mode(file))
    return new


def _holds(folder: Path, files: Files) -> bool:
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return there.keys() == files.keys() and all(
        path.read_bytes() == files[name].content
        and stat.S_IMODE(path.stat().st_mode) == _mode(files[name])
        for name, path in there.items()
    )


def _mode(file: File) -> int:
    """Nobody can write to a mounted ConfigMap; the pod's own user can read it."""
    return (file.mode & ~0o222) | 0o400
