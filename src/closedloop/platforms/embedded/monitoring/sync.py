"""Keeps Prometheus' files like the PodMonitors, rules and pods that there are."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import structlog

from closedloop.platforms.embedded.desired import Desired
from closedloop.platforms.embedded.monitoring import prometheus
from closedloop.platforms.embedded.monitoring.programs import write
from closedloop.platforms.embedded.run.changes import Changes
from closedloop.platforms.embedded.run.running import Running

_log = structlog.get_logger(__name__)

_AGAIN = 1.0  # seconds until a failed reload is tried again


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
        seen = -1
        while True:
            if await self._load():
                seen = await self._changes.after(seen)
            else:
                await asyncio.sleep(_AGAIN)

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
