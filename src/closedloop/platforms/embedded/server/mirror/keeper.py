"""Keeps objects of controllers in the store, and takes out those that they no longer make."""

from collections.abc import Container, Mapping
from typing import Any

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.server.mirror.status import observed
from closedloop.platforms.embedded.server.store import Key, Object, Store, key_of


class Keeper:
    """The objects that nobody applied: `made` are their keys, after `begin()` and `end()`."""

    def __init__(self, store: Store) -> None:
        self.made: set[Key] = set()
        self._store = store
        self._new: set[Key] = set()

    def begin(self) -> None:
        """From now on what is to stay is made again."""
        self._new = set()

    def end(self, applied: Container[Key]) -> None:
        """Take out what was not made again, but for what users made theirs."""
        for key in self.made - self._new:
            if key not in applied:
                self._store.remove(key)
        self.made = self._new

    def keep(self, thing: Object) -> None:
        """Have an object stay as it is."""
        self._new.add(key_of(thing))

    def make(self, thing: Object) -> Object:
        """Keep an object of a controller, with what users may have noted in its metadata."""
        key = key_of(thing)
        self._new.add(key)
        status = thing.pop("status", None)
        before = self._store.get(key)
        if before is not None and before["metadata"].get("uid") == thing["metadata"].get(
            "uid", before["metadata"].get("uid")
        ):
            thing["metadata"] = {**_kept(before["metadata"]), **thing["metadata"]}
            if "status" in before:
                thing["status"] = before["status"]
        there = self._store.replace(thing)
        return there if status is None else self.with_status(there, status)

    def with_status(self, there: Object, found: Object) -> Object:
        """Keep an object with a status, for the generation that it has."""
        status = observed(found, there, there.get("status") or {}, now())
        return self._store.put({**there, "status": status})


def _kept(metadata: Mapping[str, Any]) -> Object:
    """What users may write into the metadata of an object that is a controller's."""
    return {
        name: metadata[name]
        for name in ("uid", "creationTimestamp", "managedFields")
        if name in metadata
    }
