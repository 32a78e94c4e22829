"""One archive with everything that is needed to understand a failure."""

import io
import platform as machine
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from importlib.metadata import distributions
from pathlib import Path

from closedloop.platforms.protocol import PartStatus, Platform
from closedloop.suite import SuiteError

Files = Iterator[tuple[str, bytes]]


def write_bundle(platform: Platform, archive: Path, run: Path | None = None) -> int:
    """Write `archive` (tar.gz) about the platform and the folder of a run; returns its files.

    A source that cannot be read becomes a file that says why. Raises `SuiteError` when
    `run` is no folder.
    """
    if run is not None and not run.is_dir():
        raise SuiteError(f"{run} is no folder: name one that `closedloop run` wrote")
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial_archive = archive.with_name(archive.name + ".partial")
    count = 0
    with tarfile.open(partial_archive, "w:gz") as packed:
        for name, content in _files(platform, run, archive):
            entry = tarfile.TarInfo(f"bundle/{name}")
            entry.size, entry.mtime = len(content), int(time.time())
            packed.addfile(entry, io.BytesIO(content))
            count += 1
    partial_archive.replace(archive)
    return count


def _files(platform: Platform, run: Path | None, archive: Path) -> Files:
    yield "versions/python.txt", _versions().encode()
    yield _file("status.txt", lambda: _table(platform.status()))
    try:
        yield from platform.dump()
    except Exception as error:  # noqa: BLE001 - the run's files are wanted all the more
        yield "platform.txt", f"cannot be read: {error}\n".encode()
    if run is not None:
        for path in sorted(run.rglob("*")):
            if path.is_file() and path != archive and not path.name.endswith(".partial"):
                yield f"run/{path.relative_to(run)}", path.read_bytes()


def _table(parts: Sequence[PartStatus]) -> str:
    """The rows of `closedloop status`, each column as wide as its longest word."""
    heads = [field.name for field in fields(PartStatus)]
    rows = [heads, *([str(getattr(part, head)) for head in heads] for part in parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _versions() -> str:
    lines = sorted(f"{each.name}=={each.version}" for each in distributions())
    return "\n".join([f"python {sys.version}", machine.platform(), *lines, ""])


def _file(name: str, read: Callable[[], str]) -> tuple[str, bytes]:
    try:
        return name, read().encode()
    except Exception as error:  # noqa: BLE001 - the other files are wanted all the more
        return name, f"cannot be read: {error}\n".encode()
