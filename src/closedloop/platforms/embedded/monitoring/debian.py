"""Prometheus and Alertmanager: from PATH, or from Debian's packages, unpacked without root.

Both packages hold programs that need nothing but the C library. They are
downloaded by `apt-get`, with package lists of our own where the machine's are
absent or not readable, and unpacked by `dpkg-deb` into a folder of ours.

Debian's Alertmanager reads its default templates from a folder of the system
and has no flag for another. Where that folder is absent it runs in a mount
namespace of its own, in which ours are laid over the system's.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from closedloop.platforms.embedded.run.exclusive import exclusive
from closedloop.platforms.protocol import PlatformError

_PACKAGES = ("prometheus", "prometheus-alertmanager")
_TEMPLATES = Path("/usr/share/prometheus/alertmanager")
# Relative to where it is: in a path the kernel would read `:` and `,` as separators.
_OVERLAY = (
    'cd "$1" && mount -t overlay overlay -o lowerdir=.:/usr/share /usr/share'
    ' && cd / && shift && exec "$@"'
)
_BY_HAND = (
    "install Prometheus and Alertmanager (https://prometheus.io/download) and put both on PATH"
)


@dataclass(frozen=True, slots=True)
class Program:
    """A command line to which flags are added, and the version."""

    argv: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Programs:
    """The two programs; Prometheus' flags name the folders of the package."""

    prometheus: Program
    alertmanager: Program


async def programs(folder: Path) -> Programs:
    """Find both programs on PATH, or unpack the package of one into `folder`, once.

    Several processes may ask at once; one unpacks and the others wait. Raises `PlatformError`.
    """
    prometheus = shutil.which("prometheus")
    alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    root = folder / "debian"
    if not (prometheus and alertmanager):
        async with exclusive(folder / ".debian.lock"):
            if not (root / "versions.json").is_file():
                await _unpack(folder, root)
    return Programs(
        await _on_path(prometheus) if prometheus else _prometheus(root),
        await _on_path(alertmanager) if alertmanager else await _alertmanager(root),
    )


async def _on_path(program: str) -> Program:
    return Program((program,), await _version(program))


def _prometheus(root: Path) -> Program:
    etc = root / "etc" / "prometheus"
    flags = (
        f"--web.local-assets={root / 'usr' / 'share' / 'prometheus' / 'web'}/",
        f"--web.console.templates={etc / 'consoles'}",
        f"--web.console.libraries={etc / 'console_libraries'}",
    )
    program = str(root / "usr" / "bin" / "prometheus")
    return Program((program, *flags), _unpacked(root)["prometheus"])


async def _alertmanager(root: Path) -> Program:
    program = str(root / "usr" / "bin" / "prometheus-alertmanager")
    argv: tuple[str, ...] = (program,)
    if not _TEMPLATES.is_dir():
        own = ("-m",) if os.geteuid() == 0 else ("-r", "-m")
        share = str(root / "usr" / "share")
        argv = ("unshare", *own, "/bin/sh", "-c", _OVERLAY, "sh", share, program)
        try:
            await _run([*argv, "--version"], Path("/"))
        except PlatformError as error:
            reason = str(error).removesuffix(f": {_BY_HAND}")
            raise PlatformError(
                f"Debian's Alertmanager reads {_TEMPLATES}, which is not there, and this machine"
                f" allows no mount namespace that has it ({reason}):"
                " install the package prometheus-alertmanager, or put the Alertmanager of"
                " https://prometheus.io/download on PATH"
            ) from None
    return Program(argv, _unpacked(root)["prometheus-alertmanager"])


def _unpacked(root: Path) -> Mapping[str, str]:
    """The versions of the packages there."""
    versions: dict[str, str] = json.loads((root / "versions.json").read_text(encoding="utf-8"))
    return versions


async def _unpack(folder: Path, root: Path) -> None:
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        raise PlatformError(
            f"Prometheus or Alertmanager is not on PATH, and without {' and '.join(missing)}"
            f" they cannot be fetched from Debian's packages: {_BY_HAND}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="debian-") as name:
        work = Path(name)
        archives = await _download(work)
        fresh = work / "root"
        versions = {}
        for archive in archives:
            await _run(["dpkg-deb", "--extract", str(archive), str(fresh)], work)
            fields = await _run(
                ["dpkg-deb", "--showformat=${Package}\n${Version}", "--show", str(archive)], work
            )
            package, version = fields.splitlines()
            versions[package] = version
        if not versions.keys() >= set(_PACKAGES):
            raise PlatformError(f"apt-get fetched {versions} in place of {_PACKAGES}: {_BY_HAND}")
        await _version(str(fresh / "usr" / "bin" / "prometheus"))
        (fresh / "versions.json").write_text(json.dumps(versions), encoding="utf-8")
        if root.exists():  # an earlier attempt that was cut short
            shutil.rmtree(root)
        fresh.rename(root)


async def _download(work: Path) -> list[Path]:
    """Fetch the archives into a folder under `work`: with the machine's lists, else our own."""
    target = work / "archives"
    target.mkdir()
    try:
        return await _fetch([], target)
    except PlatformError:
        own = []
        for option, path in (("State::lists", work / "lists"), ("Cache", work / "cache")):
            (path / "partial").mkdir(parents=True)
            (path / "archives" / "partial").mkdir(parents=True)
            own += ["-o", f"Dir::{option}={path}"]
        await _run(["apt-get", *own, *_UNPRIVILEGED, "update"], target)
        return await _fetch(own, target)


# As root, apt would fetch as the user _apt, who may not write into our folder.
_UNPRIVILEGED = ("-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3")


async def _fetch(options: Sequence[str], target: Path) -> list[Path]:
    await _run(["apt-get", *options, *_UNPRIVILEGED, "download", *_PACKAGES], target)
    return sorted(target.glob("*.deb"))


async def _version(program: str) -> str:
    text = await _run([program, "--version"], Path("/"))
    # "prometheus, version 2.42.0+ds (branch: …"
    words = text.replace(",", " ").split()
    return words[words.index("version") + 1] if "version" in words[:-1] else "unknown"


async def _run(argv: Sequence[str], cwd: Path) -> str:
    """Run a program to its end; its output. Raises `PlatformError` with its last words."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise PlatformError(f"{argv[0]} cannot be run ({error.strerror}): {_BY_HAND}") from None
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
        last = said[-1].strip() if said else f"status {process.returncode}"
        raise PlatformError(f"{Path(argv[0]).name} failed ({last}): {_BY_HAND}")
    # Some versions of Prometheus print their version to standard error.
    return (output or errors).decode(errors="replace")
