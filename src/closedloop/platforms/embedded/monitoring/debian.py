"""Prometheus and Alertmanager: from PATH, or from Debian's packages, unpacked without root.

Both packages hold programs that need nothing but the C library. They are
downloaded by `apt-get`, with package lists of our own where the machine's are
absent or not readable, and unpacked by `dpkg-deb` into a folder of ours.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from closedloop.platforms.embedded.monitoring import alertmanager_templates
from closedloop.platforms.embedded.run.exclusive import exclusive
from closedloop.platforms.protocol import PlatformError

_PACKAGES = ("prometheus", "prometheus-alertmanager")
_BY_HAND = (
    "install Prometheus and Alertmanager (https://prometheus.io/download) and put both on PATH"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The two programs: command lines to which flags are added, and their versions.

    `prometheus_flags` name what a package's own defaults would look for in
    folders of the system; `alertmanager_folder` is where Alertmanager must run.
    """

    prometheus: tuple[str, ...]
    prometheus_flags: tuple[str, ...]
    prometheus_version: str
    alertmanager: tuple[str, ...]
    alertmanager_folder: str
    alertmanager_version: str


async def programs(folder: Path) -> Programs:
    """Find both programs, or unpack them into `folder`, once. Raises `PlatformError`.

    Several processes may ask at once; one unpacks and the others wait.
    """
    prometheus = shutil.which("prometheus")
    alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    if prometheus and alertmanager:
        return Programs(
            (prometheus,),
            (),
            await _version(prometheus),
            (alertmanager,),
            "/",
            await _version(alertmanager),
        )
    root = folder / "debian"
    share = root / "usr" / "share"
    etc = root / "etc" / "prometheus"
    templates = share / "prometheus" / "alertmanager"
    async with exclusive(folder / ".debian.lock"):
        if not (root / "versions.json").is_file():
            await _unpack(folder, root)
        command = await alertmanager_templates.command(
            root / "usr" / "bin" / "prometheus-alertmanager", templates, root / "alertmanager"
        )
    versions = json.loads((root / "versions.json").read_text(encoding="utf-8"))
    return Programs(
        (str(root / "usr" / "bin" / "prometheus"),),
        (
            f"--web.local-assets={share / 'prometheus' / 'web'}/",
            f"--web.console.templates={etc / 'consoles'}",
            f"--web.console.libraries={etc / 'console_libraries'}",
        ),
        versions["prometheus"],
        command.argv,
        str(command.folder),
        versions["prometheus-alertmanager"],
    )


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
