"""Everything that runs: the parts, and the pods of workloads."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from closedloop.platforms.embedded.desired import Pod
from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.run.network import Network
from closedloop.platforms.embedded.run.part import Part
from closedloop.platforms.embedded.run.pods import LivePod, Surroundings
from closedloop.platforms.embedded.run.workload import Workload, of_workloads
from closedloop.platforms.protocol import PlatformError

# Seconds for which a pod without new traffic finishes its requests.
_DRAIN = 0.5
_PART_DEADLINE = 60.0
_AGAIN = 1.0
_GONE = 20  # pods that are no more, and whose logs are kept


class Changes:
    """Counts changes; after `n` of them one can wait for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def mark(self) -> None:
        """Say that something changed."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, seen: int) -> int:
        """Wait until there are more than `seen` changes; returns how many there are."""
        while self.count <= seen:
            await self._next.wait()
        return self.count

    async def follow(self, step: Callable[[], Awaitable[bool]]) -> None:
        """Take a step after each change until cancelled, and in a second one that failed."""
        seen = -1
        while True:
            if await step():
                seen = await self.after(seen)
            else:
                await asyncio.sleep(_AGAIN)


class Running:
    """Parts by name and workloads by `namespace/name`."""

    def __init__(self, network: Network, surroundings: Surroundings, changes: Changes) -> None:
        self.parts: dict[str, Part] = {}
        self.part_pods: dict[str, LivePod] = {}
        self.workloads: dict[str, Workload] = {}
        self._network = network
        self._surroundings = surroundings
        self._changes = changes
        self._serial = itertools.count(1)
        self._stopping: dict[LivePod, asyncio.Task[None]] = {}
        self._gone: deque[LivePod] = deque()
        self._renewing: dict[str, asyncio.Task[None]] = {}

    @property
    def pods(self) -> list[LivePod]:
        """All pods, those of parts first."""
        return [*self.part_pods.values(), *self.workload_pods]

    @property
    def workload_pods(self) -> list[LivePod]:
        return [pod for workload in self.workloads.values() for pod in workload.pods]

    async def add(self, part_at: Callable[[str], Part]) -> LivePod:
        """Start a part, given its factory by address, and wait until it is ready.

        Raises `PlatformError` with its last words when it does not become ready.
        """
        address = self._network.take_address()
        try:
            part = part_at(address)
        except BaseException:
            self._network.give_back(address)
            raise
        pod = LivePod(part.pod(), part.name, address, self._surroundings)
        self.parts[part.name], self.part_pods[part.name] = part, pod
        pod.start()
        try:
            await self.ready([pod], _PART_DEADLINE)
        except PlatformError as error:
            del self.parts[part.name], self.part_pods[part.name]
            await self._end(pod)
            raise PlatformError(
                f"{error}\n{logs.tail(pod.processes[0].log, 20)}".rstrip()
            ) from None
        return pod

    def aim(self, pods: Sequence[Pod]) -> None:
        """Say which pods of workloads should be there; `step` on workloads brings them about."""
        wanted = of_workloads(pods)
        for name, target in wanted.items():
            if name not in self.workloads:
                self.workloads[name] = Workload(
                    name, target[0].owner, start=self._start, stop=self._stop
                )
            self.workloads[name].owner = target[0].owner
        for name, workload in self.workloads.items():
            workload.target = wanted.get(name, ())
        self._changes.mark()

    def forget_gone(self) -> None:
        """Drop workloads that nothing describes and of which nothing runs."""
        gone = [name for name, one in self.workloads.items() if not one.target and not one.pods]
        for name in gone:
            del self.workloads[name]
        if gone:
            self._changes.mark()

    async def ready(self, pods: Sequence[LivePod], timeout: float) -> None:
        """Wait until pods are ready. Raises `PlatformError` after `timeout` seconds."""
        seen = -1
        try:
            async with asyncio.timeout(timeout):
                while not all(pod.ready for pod in pods):
                    seen = await self._changes.after(seen)
        except TimeoutError:
            late = next((pod for pod in pods if not pod.ready), pods[0])
            raise PlatformError(
                f"{late.name} is not ready within {timeout:g} s ({late.reason or late.state}):"
                " its log says why"
            ) from None

    def evict(self, pod: LivePod, *, kill: bool) -> None:
        """Have another pod take the place of this one, which ends, at once if `kill`."""
        for name, part in self.part_pods.items():
            if part is pod:
                self._renewing[name] = asyncio.create_task(
                    pod.renew(kill=kill), name=f"renew {name}"
                )
                return
        pod.draining = True
        if kill:
            pod.kill()
            for workload in self.workloads.values():
                if pod in workload.pods:
                    self._stop(workload, pod, drain=False)
        self._changes.mark()

    async def stop(self) -> None:
        """End everything: workloads first, since they use the parts."""
        for workload in self.workloads.values():
            workload.target = ()
        await asyncio.gather(*(self._end(pod) for pod in self.workload_pods))
        for task in list(self._stopping.values()):
            await task
        await asyncio.gather(*(self._end(pod) for pod in self.part_pods.values()))

    def _start(self, workload: Workload, pod: Pod) -> LivePod:
        name = f"{workload.name.partition('/')[2]}-{pod.revision[:8]}-{next(self._serial)}"
        live = LivePod(pod, name, self._network.take_address(), self._surroundings)
        workload.pods.append(live)
        live.start()
        return live

    def _stop(self, workload: Workload, pod: LivePod, drain: bool = True) -> None:
        async def drain_and_stop() -> None:
            if pod.was_ready and drain:
                await asyncio.sleep(_DRAIN)
            await self._end(pod)
            workload.pods.remove(pod)
            del self._stopping[pod]
            self._forget_logs(pod)
            self._changes.mark()

        if pod not in self._stopping:
            self._stopping[pod] = asyncio.create_task(drain_and_stop(), name=f"stop {pod.name}")

    def _forget_logs(self, pod: LivePod) -> None:
        """Keep the logs of a pod that ended until many others have: somebody may ask why."""
        self._gone.append(pod)
        while len(self._gone) > _GONE:
            for process in self._gone.popleft().processes:
                logs.remove(process.log)

    async def _end(self, pod: LivePod) -> None:
        await pod.stop()
        self._network.give_back(pod.address)
