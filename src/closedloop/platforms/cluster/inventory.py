"""The inventory of our objects on a cluster, oldest first: a ConfigMap that outlives us.

Something is written down before it is made, so that an interruption leaves
nothing behind that `down` would not find.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from closedloop.manifests import Manifest
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError, NoSuchKind

NAME, NAMESPACE = "closedloop-inventory", "default"
LABEL, VALUE = "app.kubernetes.io/managed-by", "closedloop"
_RELEASE, _OBJECT = "release", "object"
_DATA, _APPLIED = "made", "applied"


@dataclass(frozen=True, slots=True)
class Made:
    """A helm release (without kind) or an object."""

    name: str
    namespace: str = ""
    kind: str = ""
    api_version: str = ""

    @property
    def is_release(self) -> bool:
        return not self.kind

    def __str__(self) -> str:
        place = self.namespace or "-"
        if self.is_release:
            return f"{_RELEASE} {place} {self.name}"
        return f"{_OBJECT} {self.api_version} {self.kind} {place} {self.name}"

    @classmethod
    def parse(cls, line: str) -> "Made":
        """The inverse of str()."""
        what, *words = line.split()
        namespace = "" if words[-2] == "-" else words[-2]
        if what == _RELEASE:
            return cls(words[-1], namespace)
        return cls(words[-1], namespace, kind=words[1], api_version=words[0])


def made_of(api: Api, manifest: Manifest) -> Made:
    """The object of a manifest, as the list has it."""
    api_version = str(manifest.document["apiVersion"])
    with contextlib.suppress(NoSuchKind):
        if not api.is_namespaced(manifest.kind, api_version):
            return Made(manifest.name, "", manifest.kind, api_version)
    return Made(manifest.name, manifest.namespace, manifest.kind, api_version)


class Inventory:
    """The list, on one cluster. Other processes may write to it at the same time."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def made(self) -> list[Made]:
        """Everything, oldest first."""
        found = self._api.get("ConfigMap", NAME, NAMESPACE)
        return _lines(found)

    def add(self, things: Iterable[Made]) -> None:
        """Write down objects about to be made; one in the list already keeps its place."""
        wanted = list(things)
        self._change(lambda made: [*made, *(t for t in dict.fromkeys(wanted) if t not in made)])

    def remove(self, things: Iterable[Made]) -> None:
        """Strike the objects that are gone; an empty list is removed itself."""
        gone = set(things)
        self._change(lambda made: [thing for thing in made if thing not in gone])

    def applied(self, what: str) -> str:
        """The digest that was noted of manifests that were applied; empty without one."""
        return _digests(self._api.get("ConfigMap", NAME, NAMESPACE)).get(what, "")

    def note(self, what: str, digest: str) -> None:
        """Write down the digest of manifests that are applied now."""
        self._change(lambda made: made, {what: digest})

    def _change(self, change: Any, digests: Mapping[str, str] | None = None) -> None:
        while True:
            found = self._api.get("ConfigMap", NAME, NAMESPACE)
            before, noted = _lines(found), _digests(found)
            after: list[Made] = change(before)
            notes = {**noted, **(digests or {})}
            if after == before and notes == noted:
                return
            try:
                self._write(found, after, notes)
            except ApiError as error:
                if error.status != 409:  # someone else wrote: read again
                    raise
            else:
                return

    def _write(
        self, found: dict[str, Any] | None, made: list[Made], digests: Mapping[str, str]
    ) -> None:
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {LABEL: VALUE}},
            "data": {
                _DATA: "".join(f"{thing}\n" for thing in made),
                _APPLIED: "".join(f"{digest} {what}\n" for what, digest in digests.items()),
            },
        }
        if found is None:
            self._api.create(document)
        elif not made:
            self._api.delete("ConfigMap", NAME, NAMESPACE)
        else:
            document["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            self._api.replace(document)


def is_ours(thing: dict[str, Any]) -> bool:
    """Whether an object carries our label."""
    labels = thing["metadata"].get("labels") or {}
    return bool(labels.get(LABEL) == VALUE)


def _digests(found: dict[str, Any] | None) -> dict[str, str]:
    text = (found or {}).get("data", {}).get(_APPLIED, "")
    parted = (line.partition(" ") for line in text.splitlines())
    return {what: digest for digest, _, what in parted}


def _lines(found: dict[str, Any] | None) -> list[Made]:
    text = (found or {}).get("data", {}).get(_DATA, "")
    return [Made.parse(line) for line in text.splitlines() if line.strip()]
