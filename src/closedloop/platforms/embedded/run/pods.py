"""One pod: its processes under one loopback address."""

import asyncio
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.desired import Pod, Process
from closedloop.platforms.embedded.run.process import Guardian, environment
from closedloop.platforms.embedded.run.supervisor import Pace, State, Supervised


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The settings that all processes of one platform have in common."""

    logs: Path
    tmp: Path
    guardian: Guardian | None
    on_change: Callable[[], None]
    pace: Pace = field(default_factory=Pace)


class LivePod:
    """A pod that was given a name and an address; runs from `start()` to `stop()`.

    While it is `draining` it gets no new connections and is about to stop.
    """

    def __init__(
        self,
        pod: Pod,
        name: str,
        address: str,
        surroundings: Surroundings,
    ) -> None:
        self.pod = pod
        self.name = name
        self.address = address
        self.uid = str(uuid.uuid4())
        self.born = now("microseconds")  # RFC 3339
        self.draining = False
        self.was_ready = False
        self._before: dict[str, int] = {}  # restarts that were those of a pod before this
        self._fresh = False  # whether its folder is this pod's
        self._changed = surroundings.on_change
        self._folder = surroundings.tmp / "pods" / name
        placed = [_placed(process, address, self._folder) for process in pod.processes]
        self.processes = [
            Supervised(
                process,
                host=address,
                env=environment(process.env, tmp=surroundings.tmp),
                log=log_file(surroundings.logs, pod, name, process.name),
                cwd=surroundings.tmp,
                guardian=surroundings.guardian,
                pace=surroundings.pace,
                on_change=self._on_change,
                before=self._make_folder,
            )
            for process in placed
        ]

    @property
    def ready(self) -> bool:
        """Whether every process is ready."""
        return all(one.state == "ready" for one in self.processes)

    @property
    def state(self) -> State:
        """The state of the process that is furthest from ready."""
        order: tuple[State, ...] = ("restarting", "starting", "stopped", "ready")
        return min((one.state for one in self.processes), key=order.index)

    @property
    def reason(self) -> str:
        """Why it is not ready, or how a process last ended."""
        return "; ".join(
            f"{one.process.name}: {one.reason}" for one in self.processes if one.reason
        )

    @property
    def restarts(self) -> int:
        return sum(one.restarts for one in self.processes)

    @property
    def available(self) -> bool:
        """Whether calls may be sent to it."""
        return self.ready and not self.draining

    def start(self) -> None:
        for one in self.processes:
            one.start()

    async def stop(self) -> None:
        """End the processes, the last first: it may be answering with the help of the others."""
        for one in reversed(self.processes):
            await one.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End every process at once; one that is not stopped as well starts again."""
        for one in self.processes:
            one.kill()

    async def renew(self, *, kill: bool) -> None:
        """End every process and be another pod, at the same address, once they start again."""
        self.uid, self.born = str(uuid.uuid4()), now("microseconds")
        self._before = {one.process.name: one.restarts + 1 for one in self.processes}
        self._fresh = False
        self.was_ready = False
        await self.restart(kill=kill)

    def restarts_of(self, process: Supervised) -> int:
        """How often a process of this very pod was started again."""
        return max(0, process.restarts - self._before.get(process.process.name, 0))

    async def restart(self, *, kill: bool) -> None:
        """End every process; they start again by themselves."""
        await asyncio.gather(*(one.restart(kill=kill) for one in self.processes))

    def _make_folder(self) -> None:
        """Scratch space is empty when a pod begins, and outlives its processes."""
        if not self._fresh:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._fresh = True
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _on_change(self) -> None:
        self.was_ready = self.was_ready or self.ready
        self._changed()


def log_file(logs: Path, pod: Pod, name: str, process: str) -> Path:
    """Where a process logs: `<part>.log`, or `<namespace>.<pod>.<container>.log`."""
    if not pod.owner:
        return logs / f"{process}.log"
    return logs / f"{pod.workload.partition('/')[0]}.{name}.{process}.log"


def _placed(process: Process, address: str, folder: Path) -> Process:
    def filled(text: str) -> str:
        return text.replace("{pod_ip}", address).replace("{pod_folder}", str(folder))

    return replace(
        process,
        argv=tuple(filled(word) for word in process.argv),
        env={name: filled(text) for name, text in process.env.items()},
    )
