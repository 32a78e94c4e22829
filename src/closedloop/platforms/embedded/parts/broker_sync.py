"""Keeps the broker's file like the Brokers and Triggers that are desired."""

from collections.abc import Callable
from pathlib import Path

import aiohttp
import structlog

from closedloop.machine import write_whole
from closedloop.platforms.embedded.broker.config import to_json
from closedloop.platforms.embedded.desired import Desired
from closedloop.platforms.embedded.run.running import Changes, Running

_log = structlog.get_logger(__name__)

_EMPTY = to_json((), ())


class BrokerSync:
    """Writes the file, tells the broker, and has events delivered again after a loss.

    `error` says why the desired state is not in effect, or is empty.
    """

    def __init__(
        self,
        file: Path,
        desired: Callable[[], Desired],
        running: Running,
        changes: Changes,
        http: aiohttp.ClientSession,
    ) -> None:
        self.file = file
        self.error = ""
        self._desired = desired
        self._running = running
        self._changes = changes
        self._http = http
        self._loaded = ""  # the configuration that the broker took
        self._losses = 0  # restarts of the search server that were answered
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_EMPTY, encoding="utf-8")

    @property
    def in_effect(self) -> bool:
        """Whether the broker is ready and serves exactly the desired state."""
        pod = self._running.part_pods.get("broker")
        return pod is not None and pod.ready and self._loaded == self._wanted()

    async def run(self) -> None:
        """Follow changes until cancelled."""
        await self._changes.follow(self._step)

    async def _step(self) -> bool:
        return await self._load() and await self._replay()

    async def _load(self) -> bool:
        wanted = self._wanted()
        pod = self._running.part_pods.get("broker")
        if wanted == self._loaded or pod is None or not pod.ready:
            return True
        try:
            write_whole(self.file, wanted)
            error = await self._post("/-/reload")
        except OSError as full:
            error = str(full)
        if not error:
            self._loaded = wanted
        elif error != self.error:
            _log.error("broker does not take its configuration", error=error)
        if not error or error != self.error:
            self.error = error
            self._changes.mark()
        return not error

    async def _replay(self) -> bool:
        """After the search server lost its data: deliver the events again that the broker kept."""
        server = self._running.part_pods.get("elasticsearch")
        broker = self._running.part_pods.get("broker")
        if server is None or broker is None or not (server.ready and broker.ready):
            return True
        losses = server.restarts
        if losses == self._losses:
            return True
        for trigger in self._desired().triggers:
            if trigger.replay:
                if error := await self._post(f"/-/replay?trigger={trigger.name}"):
                    _log.warning("events cannot be replayed yet", trigger=trigger.name, error=error)
                    return False
                _log.info("events are delivered again", trigger=trigger.name)
        self._losses = losses
        return True

    def _wanted(self) -> str:
        desired = self._desired()
        return to_json(desired.brokers, desired.triggers)

    async def _post(self, path: str) -> str:
        """POST to the broker: why it failed, or the empty string."""
        url = self._running.parts["broker"].url + path
        try:
            async with self._http.post(url) as answer:
                return "" if answer.ok else (await answer.text()) or f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
