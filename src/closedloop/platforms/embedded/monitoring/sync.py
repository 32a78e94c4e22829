"""Keeps Prometheus' files like the PodMonitors, rules and pods that there are.

Rules are checked before they are accepted, as the Prometheus operator's webhook does.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import structlog

from closedloop.platforms.embedded.desired import Desired
from closedloop.platforms.embedded.monitoring import prometheus
from closedloop.platforms.embedded.monitoring.programs import write
from closedloop.platforms.embedded.run.running import Changes, Running
from closedloop.platforms.protocol import PlatformError

_log = structlog.get_logger(__name__)


class PrometheusSync:
    """Writes the files and has Prometheus read them; `error` says why it refused them."""

    def __init__(
        self,
        folder: Path,
        desired: Callable[[], Desired],
        running: Running,
        changes: Changes,
        http: aiohttp.ClientSession,
    ) -> None:
        self.folder = folder
        self.values: Mapping[str, object] = {}
        self.error = ""
        self._desired = desired
        self._running = running
        self._changes = changes
        self._http = http
        self._dirty = False
        self._refused: tuple[object, ...] = ()

    async def run(self) -> None:
        """Follow changes until cancelled."""
        await self._changes.follow(self._load)

    def write(self) -> None:
        """Write the files that changed; targets are seen at once, the rest needs a reload."""
        part = self._running.parts.get("alertmanager")
        desired = self._desired()
        files = prometheus.render(
            self.folder,
            desired,
            [one for one in self._running.workload_pods if not one.draining],
            values=self.values,
            alertmanager=part.url.removeprefix("http://") if part else None,
        )
        # Rules before the configuration that names them.
        for name in sorted(files, key=lambda name: name == prometheus.CONFIG):
            changed = write(self.folder / name, files[name])
            self._dirty |= changed and not name.startswith(f"{prometheus.TARGETS}/")

    async def _load(self) -> bool:
        pod = self._running.part_pods.get("prometheus")
        if pod is None or not pod.ready:
            return True
        try:
            self.write()
            if not self._dirty:
                return True
            error, refused = await self._reload()
        except OSError as full:
            self._dirty = True  # some of the files may be new
            error, refused = str(full), False
        if error != self.error:
            self.error = error
            if error:
                _log.error("Prometheus does not take its configuration", error=error)
            self._changes.mark()
        # It would refuse the same again: wait for another.
        self._dirty = bool(error) and not refused
        return not self._dirty

    async def _reload(self) -> tuple[str, bool]:
        url = f"{self._running.parts['prometheus'].url}/-/reload"
        try:
            async with self._http.post(url) as answer:
                if answer.ok:
                    return "", False
                return (await answer.text()).strip() or f"status {answer.status}", True
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}", False


async def check_rules(rules: Mapping[str, Mapping[str, object]], parts: Path) -> None:
    """Have promtool read rule files, given by name with their content.

    Raises `PlatformError` with its words on the first bad one. Where there
    is no promtool, Prometheus itself will refuse them.
    """
    unpacked = parts / "debian" / "usr" / "bin" / "promtool"
    promtool = str(unpacked) if unpacked.is_file() else shutil.which("promtool")
    if promtool is None or not rules:
        return
    with tempfile.TemporaryDirectory(prefix="closedloop-") as folder:
        for name, content in rules.items():
            (Path(folder) / name).write_text(json.dumps(content), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            promtool,
            "check",
            "rules",
            *rules,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    if process.returncode:
        said = [line.strip() for line in output.decode(errors="replace").splitlines()]
        faults = [line for line in said if line and "SUCCESS" not in line]
        faults = [line for line in faults if not line.startswith("Checking")]
        raise PlatformError(f"Prometheus would refuse a rule: {' '.join(faults)}")
