"""A way to run Debian's Alertmanager from a folder of ours.

Debian's build reads its default templates from a folder of the system,
`/usr/share/prometheus/alertmanager`, and has no flag for another. Three ways
around it, each tried for real before it is chosen:

1. as it is, where that folder exists;
2. a copy whose one text is replaced by a relative path of the same length,
   run in the folder that it is relative to;
3. in a user and mount namespace of its own, with our files laid over the system's.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from closedloop.platforms.protocol import PlatformError

_SYSTEM = b"/usr/share/prometheus/alertmanager"
_NAME = b"amtmpl"
# `./amtmpl/././…`, as long as the text that it replaces; every dot step leads to where we are.
_RELATIVE = (b"./" + _NAME + b"/." * len(_SYSTEM))[: len(_SYSTEM)]
_TRIAL = "route: {receiver: none}\nreceivers: [{name: none}]\n"
_TRIAL_SECONDS = 10.0

_OVERLAY = 'mount -t overlay overlay -o "lowerdir=$1:/usr/share" /usr/share && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class Command:
    """A command line to which flags are added, and the folder in which it must run."""

    argv: tuple[str, ...]
    folder: Path


async def command(program: Path, templates: Path, folder: Path) -> Command:
    """How to run `program`, whose templates lie in `templates`; a copy may be put in `folder`.

    Raises `PlatformError` when no way works.
    """
    if (folder / program.name).is_file():
        return Command((str(folder / program.name),), folder)
    plain = Command((str(program),), Path("/"))
    if not (refusal := await _refusal(plain)):
        return plain
    patched = _patched(program, templates, folder)
    if patched is not None:
        if not await _refusal(patched):
            return patched
        shutil.rmtree(folder)
    overlaid = _overlaid(program, templates.parent.parent)
    if overlaid is not None and not await _refusal(overlaid):
        return overlaid
    raise PlatformError(
        f"Debian's Alertmanager does not start outside {_SYSTEM.decode()} ({refusal}): install"
        " the package prometheus-alertmanager, or put Alertmanager of prometheus.io on PATH"
    )


def _patched(program: Path, templates: Path, folder: Path) -> Command | None:
    content = program.read_bytes()
    # Go keeps texts without an end mark: the folder alone is what no slash follows.
    starts = [
        start
        for start in _occurrences(content, _SYSTEM)
        if content[start + len(_SYSTEM) : start + len(_SYSTEM) + 1] != b"/"
    ]
    if len(starts) != 1:
        return None
    (start,) = starts
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(templates, folder / _NAME.decode())
    copy = folder / program.name
    # Under its name last: a copy that is there is a copy that is whole.
    fresh = folder / "fresh"
    fresh.write_bytes(content[:start] + _RELATIVE + content[start + len(_RELATIVE) :])
    fresh.chmod(0o755)
    fresh.rename(copy)
    return Command((str(copy),), folder)


def _occurrences(content: bytes, text: bytes) -> list[int]:
    found = []
    start = content.find(text)
    while start >= 0:
        found.append(start)
        start = content.find(text, start + 1)
    return found


def _overlaid(program: Path, share: Path) -> Command | None:
    unshare = shutil.which("unshare")
    # The kernel reads these two as separators of the mount's options.
    if unshare is None or any(mark in str(share) for mark in ":,"):
        return None
    argv = (unshare, "-r", "-m", "/bin/sh", "-c", _OVERLAY, "sh", str(share), str(program))
    return Command(argv, Path("/"))


async def _refusal(way: Command) -> str:
    """Start it with an empty configuration until it is ready: why it is not, or nothing."""
    with tempfile.TemporaryDirectory(prefix="closedloop-") as name:
        config = Path(name) / "alertmanager.yml"
        config.write_text(_TRIAL, encoding="utf-8")
        try:
            process = await asyncio.create_subprocess_exec(
                *way.argv,
                f"--config.file={config}",
                f"--storage.path={name}",
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
                cwd=way.folder,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return error.strerror or str(error)
        assert process.stderr is not None
        last = "it says nothing"
        try:
            async with asyncio.timeout(_TRIAL_SECONDS):
                async for line in process.stderr:
                    last = line.decode(errors="replace").strip()
                    if "Listening on" in last:
                        return ""
        except TimeoutError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return last
