"""Puts into the store what runs, and takes out what no longer does."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator

from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.desired import Desired
from closedloop.platforms.embedded.kinds.table import BY_NAME
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.server.mirror import cluster, status
from closedloop.platforms.embedded.server.mirror.events import Events
from closedloop.platforms.embedded.server.mirror.following import Following
from closedloop.platforms.embedded.server.mirror.keeper import Keeper
from closedloop.platforms.embedded.server.mirror.pod_events import PodEvents
from closedloop.platforms.embedded.server.store import Key, Object, Store, key_of

_AGAIN = 1.0  # seconds until pods that are not ready are looked at again
_PAUSE = 0.02  # seconds in which changes are gathered


class Mirror:
    """Keeps the objects that controllers and kubelet would write."""

    def __init__(self, platform: Controller, store: Store) -> None:
        self._platform = platform
        self._store = store
        self._keeper = Keeper(store)
        self._events = Events(store)
        self._following = Following(platform, store, self._keeper, self._events)
        self._pod_events = PodEvents(store, self._events)
        self._told: set[tuple[Key, str]] = set()
        self._looked = -1  # the change after which the store was brought up to date

    @property
    def made(self) -> set[Key]:
        """The keys of objects that nobody applied."""
        return self._keeper.made

    @property
    def pods(self) -> dict[Key, LivePod]:
        """What runs, by the key of its Pod."""
        return self._following.pods

    def applied(self) -> dict[Key, Object]:
        """The objects that users made and did not delete."""
        return {
            key: thing
            for key, thing in self._store.items()
            if BY_NAME[key[0]].model is not None
            and key not in self.made
            and "deletionTimestamp" not in thing["metadata"]
        }

    def restart(self, workload: Key, stamp: str) -> None:
        """Note when the workload of a part was restarted."""
        self._following.restarted[workload] = stamp

    async def run(self) -> None:
        """Follow what runs, until cancelled."""
        seen = -1
        while True:
            waiting = any(not one.ready for one in self._platform.running.pods)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN if waiting else None):
                    seen = await self._platform.changes.after(seen)
            self.look()
            await asyncio.sleep(_PAUSE)

    def refresh(self) -> None:
        """Bring the store to what runs now, if anything changed."""
        if self._platform.changes.count != self._looked:
            self.look()

    def look(self) -> None:
        """Bring the store to what runs now."""
        self._looked = self._platform.changes.count
        self._keeper.begin()
        applied = self.applied()
        running = (part.namespace for part in self._platform.running.parts.values())
        for thing in cluster.objects(self._platform.installation.installed, running):
            if key_of(thing) not in applied:
                self._keeper.make(thing)
        self._users(applied)
        self._following.look(applied)
        self._keeper.end(applied)
        self._pod_events.look(self.pods)
        self._tell_problems()
        self._events.forget_old()
        self._finish()

    def _users(self, applied: Iterable[Key]) -> None:
        """The status of objects that were applied."""
        broker = status.broker_problem(self._platform)
        for key in applied:
            if (there := self._store.get(key)) is not None:
                self._status(there, broker)

    def _status(self, there: Object, broker: str) -> None:
        found = status.of(self._platform, there, broker)
        if found is None:
            return
        if "deletionTimestamp" in there["metadata"] and there["kind"] == "Namespace":
            found = {"phase": "Terminating"}
        self._keeper.with_status(there, found)

    def _tell_problems(self) -> None:
        """Record the things that objects lack, each once."""
        lacks = set(_lacks(self._platform.desired))
        self._told &= lacks
        for key, problem in sorted(lacks - self._told):
            if (about := self._store.get(key)) is not None:
                reason = "FailedCreate" if key[0] == "Deployment" else "NotReady"
                self._events.record(about, reason, problem, warning=True)
                self._told.add((key, problem))

    def _finish(self) -> None:
        """Take out what was deleted and is gone; a namespace once nothing is in it."""
        # Namespaces after what is in them: no other change may come.
        for key in sorted(self._store.all_keys(), key=lambda key: key[0] == "Namespace"):
            there = self._store.get(key)
            if there is None or key in self.made or "deletionTimestamp" not in there["metadata"]:
                continue
            kind, namespace, name = key
            if kind == "Namespace":
                inside = (one for one in self._store.all_keys() if one[1] == name)
                if all(one[0] == "Event" for one in inside):
                    for one in self._store.all_keys():
                        if one[1] == name:
                            self._store.remove(one)
                    self._store.remove(key)
            elif self._platform.is_gone(f"{kind}/{namespace}/{name}"):
                self._store.remove(key)


def _lacks(desired: Desired) -> Iterator[tuple[Key, str]]:
    for key, problems in desired.problems.items():
        yield from ((_key(key), problem) for problem in problems)
    for pod in desired.pods:
        yield from ((_key(pod.owner), reason) for reason in pod.waits_for)


def _key(path: str) -> Key:
    kind, namespace, name = path.split("/")
    return kind, namespace, name
