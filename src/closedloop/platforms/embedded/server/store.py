"""The objects that there are, their versions, and the changes that watches follow."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.errors import Refusal

Object = dict[str, Any]
# Kind, namespace (empty for a kind without namespaces) and name.
Key = tuple[str, str, str]
Change = Literal["ADDED", "MODIFIED", "DELETED"]

# Changes that a watch can begin before; an older one lists again.
_HISTORY = 4096
# Fields outside the spec; a change of one makes no new generation.
_BESIDE = ("metadata", "status", "apiVersion", "kind")
# Objects that a cluster counts no generations of.
_UNCOUNTED = (
    *("ConfigMap", "Secret", "Event", "Endpoints", "EndpointSlice", "Namespace", "Node"),
    *("Service", "ServiceAccount", "Role", "RoleBinding"),
)


@dataclass(frozen=True, slots=True)
class Changed:
    """A change: the object as it is now, and as it was before, if it was."""

    version: int
    change: Change
    key: Key
    now: Object
    before: Object | None


class Store:
    """Objects by key under one counter of versions.

    An object is replaced and never changed in place: what is read from the
    store or was put into it must be copied before it is changed.
    """

    def __init__(self, clock: Callable[[], str] | None = None) -> None:
        self.version = 1
        self._clock = clock or now
        self._objects: dict[Key, Object] = {}
        self._history: deque[Changed] = deque(maxlen=_HISTORY)
        self._next = asyncio.Event()

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def of_kind(self, kind: str, namespace: str = "") -> list[Object]:
        """Objects of a kind, in order of namespace and name; of one namespace or of all."""
        found = (
            (key, one)
            for key, one in self._objects.items()
            if key[0] == kind and (not namespace or key[1] == namespace)
        )
        return [one for _, one in sorted(found, key=lambda each: each[0])]

    def all_keys(self) -> list[Key]:
        return list(self._objects)

    def items(self) -> list[tuple[Key, Object]]:
        return list(self._objects.items())

    def put(self, thing: Mapping[str, Any]) -> Object:
        """Keep an object under its key; one that is equal to the stored one changes nothing.

        The metadata that a server writes is written here, over that of `thing`.
        """
        key = key_of(thing)
        before = self._objects.get(key)
        metadata: Object = dict(thing["metadata"])
        new: Object = {**thing, "metadata": metadata}
        if before is None:
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", self._clock())
            metadata.pop("resourceVersion", None)
            if key[0] not in _UNCOUNTED:
                metadata["generation"] = 1
        else:
            own = before["metadata"]
            for field in ("uid", "creationTimestamp", "resourceVersion", "generation"):
                metadata.pop(field, None)
                if field in own:
                    metadata[field] = own[field]
            if "generation" in own and _wish(before) != _wish(new):
                metadata["generation"] = own["generation"] + 1
            if new == before:
                return before
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self._objects[key] = new
        self._tell("ADDED" if before is None else "MODIFIED", key, new, before)
        return new

    def replace(self, thing: Mapping[str, Any]) -> Object:
        """Keep an object as another than the one of its name, if that has another uid."""
        key = key_of(thing)
        before = self._objects.get(key)
        if before is not None and before["metadata"]["uid"] != thing["metadata"].get("uid"):
            self.remove(key)
        return self.put(thing)

    def remove(self, key: Key) -> Object | None:
        """Forget an object; returns it as it was."""
        gone = self._objects.pop(key, None)
        if gone is None:
            return None
        self.version += 1
        last = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
        self._tell("DELETED", key, last, gone)
        return last

    def since(self, version: int) -> list[Changed]:
        """The changes after a version. Raises `Refusal` with 410 when they are no longer known."""
        if version > self.version:
            raise Refusal(410, f"The resourceVersion {version} is not one of this server")
        oldest = self._history[0].version if self._history else self.version + 1
        if len(self._history) == _HISTORY and version + 1 < oldest:
            raise Refusal(410, f"too old resource version: {version} ({oldest})")
        found: list[Changed] = []
        for one in reversed(self._history):
            if one.version <= version:
                break
            found.append(one)
        return found[::-1]

    async def after(self, version: int) -> None:
        """Wait until there is a change after a version."""
        while self.version <= version:
            await self._next.wait()

    def _tell(self, change: Change, key: Key, thing: Object, before: Object | None) -> None:
        self._history.append(Changed(self.version, change, key, thing, before))
        self._next.set()
        self._next = asyncio.Event()


def key_of(thing: Mapping[str, Any]) -> Key:
    """The key of an object, whose namespace is in its metadata if it has one."""
    metadata = thing["metadata"]
    return str(thing["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def key_in(kind: Kind, namespace: str, name: str) -> Key:
    return kind.kind, namespace if kind.namespaced else "", name


def _wish(thing: Mapping[str, Any]) -> Object:
    return {name: value for name, value in thing.items() if name not in _BESIDE}
