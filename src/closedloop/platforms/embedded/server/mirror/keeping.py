"""Puts into the store what runs, and takes out what no longer does."""

import asyncio
import contextlib
from collections.abc import Iterable

from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.events import Event
from closedloop.platforms.embedded.kinds.table import BY_NAME
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.server.mirror import cluster, status
from closedloop.platforms.embedded.server.mirror.following import Following
from closedloop.platforms.embedded.server.mirror.keeper import Keeper
from closedloop.platforms.embedded.server.mirror.pod_events import PodEvents
from closedloop.platforms.embedded.server.store import Key, Object, Store, key_of

_AGAIN = 1.0  # seconds until pods that are not ready are looked at again
_PAUSE = 0.02  # seconds in which changes are gathered
_COMPONENT = {"Pod": "kubelet"}


class Mirror:
    """Keeps the objects that controllers and kubelet would write."""

    def __init__(self, platform: Controller, store: Store) -> None:
        self._platform = platform
        self._store = store
        self._keeper = Keeper(store)
        self._following = Following(platform, store, self._keeper)
        self._pod_events = PodEvents(platform.events)
        self._events: dict[int, tuple[Key, int]] = {}  # by number, with their counts
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
        self._pod_events.look((f"Pod/{key[1]}/{key[2]}", pod) for key, pod in self.pods.items())
        self._write_events()
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

    def _write_events(self) -> None:
        written = set()
        for one in self._platform.events.recent():
            known = self._events.get(one.number)
            if known is not None and known[1] == one.count:
                written.add(one.number)
                continue
            kind, _, path = one.key.partition("/")
            namespace, _, name = path.rpartition("/")
            about = self._store.get((kind, namespace, name))
            uid = about["metadata"]["uid"] if about is not None else ""
            thing = _event(one, uid)
            there = self._store.get(key_of(thing))
            if about is None and there is not None:
                thing["involvedObject"] = there["involvedObject"]
            if about is not None or there is not None or one.uid:
                self._store.put(thing)
                self._events[one.number] = key_of(thing), one.count
                written.add(one.number)
        for number in self._events.keys() - written:
            self._store.remove(self._events.pop(number)[0])

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
                    self._store.remove(key)
                    self._forget_events(name)
            elif self._platform.is_gone(f"{kind}/{namespace}/{name}"):
                self._store.remove(key)

    def _forget_events(self, namespace: str) -> None:
        for key in self._store.all_keys():
            if key[:2] == ("Event", namespace):
                self._platform.events.forget(int(key[2].rpartition(".")[2], 16))
                self._store.remove(key)


def _event(one: Event, uid: str) -> Object:
    """A `v1` Event about the object of this uid."""
    kind, _, path = one.key.partition("/")
    namespace, _, name = path.rpartition("/")
    about: Object = {
        "apiVersion": BY_NAME[kind].api_version,
        "kind": kind,
        "name": name,
        "uid": one.uid or uid,
        **({"namespace": namespace} if namespace else {}),
        **({"fieldPath": f"spec.containers{{{one.part}}}"} if one.part else {}),
    }
    component = _COMPONENT.get(kind, "closedloop")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{one.number:016x}", "namespace": namespace or "default"},
        "involvedObject": about,
        "type": one.type,
        "reason": one.reason,
        "message": one.message,
        "count": one.count,
        "firstTimestamp": one.first,
        "lastTimestamp": one.last,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }
