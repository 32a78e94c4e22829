"""A model of one's own, from its folder to the contents of its image, on every platform alike.

The image is named by the content of the folder, so that another content is another image and
the pods of a deployment that names it are replaced.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from closedloop.machine import end_with_parent, write_whole
from closedloop.models.own import REQUIREMENTS, FolderError, interface, label
from closedloop.platforms.protocol import PlatformError

REPOSITORY = "closedloop/model-"  # and the folder's name
WRAPPER = Path("docker") / "model" / "requirements.in"
LOCK = Path("docker") / "iris" / "requirements.txt"
_COMPILED = "__pycache__"
_RESOLVE = 600.0  # seconds, over a slow line
# pip's variables about indices, and uv's for the same.
_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}


@dataclass(frozen=True, slots=True)
class Source:
    """The contents of a model's image: its folder, and the lock of all that it needs."""

    folder: Path
    image: str
    lock: str

    def copy_to(self, target: Path) -> None:
        """Copy the folder's files to `target`, which is made."""
        for path in _files(self.folder):
            copy = target / path.relative_to(self.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


def source_of(folder: Path, root: Path, locks: Path) -> Source:
    """The source of a folder's image. Requirements are resolved once, and kept in `locks`.

    The wrapper's own requirements are those of the checkout `root`, and so are versions that its
    models' lock names, where nothing else is asked for. Raises `PlatformError` with one sentence
    for a folder, class or requirement at fault.
    """
    try:
        interface(folder)
    except FolderError as error:
        raise PlatformError(str(error)) from None
    requirements = folder / REQUIREMENTS
    if not requirements.is_file():
        raise PlatformError(
            f"{folder} has no {REQUIREMENTS}: add one that names the model's packages, or an"
            " empty one"
        )
    about = [path.read_bytes() for path in (requirements, root / WRAPPER, root / LOCK)]
    kept = locks / f"{_digest(about)}.txt"
    if not kept.is_file():
        locks.mkdir(parents=True, exist_ok=True)
        write_whole(kept, _resolved(requirements, root, locks))
    lock = kept.read_text(encoding="utf-8")
    content = [lock.encode()]
    for path in _files(folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        content += [str(path.relative_to(folder)).encode(), digest]
    return Source(folder, f"{REPOSITORY}{label(folder)}:{_digest(content)}", lock)


def find_uv() -> Path:
    """The program uv. Raises `PlatformError`."""
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found is None:
            raise PlatformError("uv is missing: install closedloop again") from None
        return Path(found)


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables by which uv does as pip was told, where nothing was said to uv itself."""
    told = {own: environ.get(pips) for pips, own in _PIP.items() if own not in environ}
    if links := told.get("UV_FIND_LINKS"):
        # uv separates them by commas, and fails where pip goes on without a folder.
        there = [link for link in links.split() if "://" in link or Path(link).exists()]
        told["UV_FIND_LINKS"] = ",".join(there)
    return {name: text for name, text in told.items() if text}


def no_index(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The option by which uv asks no index, where pip was told so."""
    told = environ.get("PIP_NO_INDEX", "").lower() not in ("", "0", "false", "no", "off")
    return ("--no-index",) if told else ()


def _resolved(requirements: Path, root: Path, scratch: Path) -> str:
    """The lock of a model's requirements and the wrapper's. Raises `PlatformError`."""
    universal = ("--universal", "--python-version", "3.11", "--no-header", "--no-annotate")
    with tempfile.TemporaryDirectory(prefix=".", dir=scratch) as name:
        # uv keeps versions that the file which it writes has already, where that is possible.
        lock = Path(shutil.copy(root / LOCK, name))
        options = ("--quiet", *universal, *no_index(os.environ), "--output-file", str(lock))
        try:
            done = subprocess.run(
                [find_uv(), "pip", "compile", *options, requirements.absolute(), root / WRAPPER],
                env={**os.environ, **pip_settings(os.environ)},
                cwd=name,
                capture_output=True,
                text=True,
                check=False,
                timeout=_RESOLVE,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        except subprocess.TimeoutExpired:
            raise PlatformError(
                f"{requirements} was not resolved within {_RESOLVE:g} s: see to the package index"
            ) from None
        if done.returncode:
            text = " ".join(done.stderr.split()).rstrip(".")
            said = text.partition("cause: ")[2] or text  # of its chain of errors the first reason
            raise PlatformError(
                f"{requirements} cannot be installed beside Seldon's wrapper: {said}: correct it"
            )
        return lock.read_text(encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder and below, in order, without hidden and compiled ones."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part[0] == "." or part == _COMPILED for part in inside):
            yield path


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()[:12]
