"""Creating, changing and deleting objects, as far as the platform takes them."""

import asyncio
import copy
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from closedloop.loop.rfc3339 import now
from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.client.workloads import RESTARTED
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.defaults import defaulted
from closedloop.platforms.embedded.server.errors import Refusal, not_found
from closedloop.platforms.embedded.server.mirror import Mirror
from closedloop.platforms.embedded.server.patching.apply import update
from closedloop.platforms.embedded.server.store import Key, Object, Store
from closedloop.platforms.protocol import PlatformError

# Written by the server only, and ignored by the platform.
_OURS = (
    *("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generateName"),
)
_WORKLOADS = ("Deployment", "StatefulSet")
# A letter or digit of these is no vowel, so that no name is a word.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

Change = Callable[[Object | None], Object]


@dataclass(frozen=True, slots=True)
class Deletion:
    """How an object is to be deleted: `DeleteOptions`."""

    uid: str = ""
    version: str = ""
    grace: int | None = None
    dry_run: bool = False


class Writer:
    """Writes one object at a time.

    Objects that users describe go through the platform, which refuses what has
    no effect; of those that controllers make only a restart may be asked for.
    """

    def __init__(self, platform: Controller, store: Store, mirror: Mirror) -> None:
        self._platform = platform
        self._store = store
        self._mirror = mirror
        self._one_at_a_time = asyncio.Lock()

    async def create(self, kind: Kind, thing: Object, manager: str, *, dry_run: bool) -> Object:
        """Create an object. Raises `Refusal`."""
        metadata = thing["metadata"]
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(secrets.choice(_LETTERS) for _ in range(5))
            metadata["name"] = metadata["generateName"] + suffix
        key = (kind.kind, metadata.get("namespace", ""), metadata.get("name", ""))
        if not key[2]:
            raise Refusal(
                422, f"{kind.kind}: metadata.name is missing: give a name or a generateName"
            )

        def created(there: Object | None) -> Object:
            if there is not None and not self._may_take(key):
                raise Refusal(
                    409,
                    f'{kind.resource} "{key[2]}" already exists',
                    reason="AlreadyExists",
                    details={"name": key[2], "kind": kind.plural, "group": kind.group},
                )
            return update(None, thing, manager, custom=kind.is_custom, time=now())

        return await self.change(kind, key, created, dry_run=dry_run)

    async def change(self, kind: Kind, key: Key, change: Change, *, dry_run: bool) -> Object:
        """The object after a change of the stored one, None if there is none. Raises `Refusal`."""
        async with self._one_at_a_time:
            there = self._store.get(key)
            new = change(copy.deepcopy(there) if there is not None else None)
            self._check_identity(kind, key, there, new)
            if there is not None and "deletionTimestamp" in there["metadata"]:
                raise Refusal(
                    409,
                    f'{kind.resource} "{key[2]}" is being deleted: write it again when it is gone',
                )
            if there is not None and _without_server(there) == _without_server(new):
                return there if dry_run else self._store.put(new)
            if key in self._mirror.made and not self._may_take(key):
                assert there is not None
                return await self._restart(kind, key, there, new, dry_run=dry_run)
            if "create" not in kind.verbs:
                raise Refusal(405, f"{kind.resource} are written by the platform alone")
            new = defaulted(new)
            nowhere = key[1] and self._store.get(("Namespace", "", key[1])) is None
            await self._admit(key, new, dry_run=dry_run or bool(nowhere))
            if nowhere:
                raise not_found("namespaces", key[1])
            if dry_run:
                return new
            self._mirror.made.discard(key)
            kept = {"status": there["status"]} if there and "status" in there else {}
            written = self._store.put({**new, **kept})
            self._mirror.look()
            return self._store.get(key) or written

    async def delete(self, kind: Kind, key: Key, how: Deletion) -> Object:
        """The object that is deleted now, or soon. Raises `Refusal`."""
        async with self._one_at_a_time:
            there = self._store.get(key)
            if there is None:
                raise not_found(kind.resource, key[2])
            self._check_preconditions(kind, there, how)
            if kind.kind == "Event":
                if not how.dry_run:
                    self._store.remove(key)
                return there
            if key in self._mirror.pods:
                if not how.dry_run:
                    self._platform.running.evict(self._mirror.pods[key], kill=how.grace == 0)
                    self._mirror.look()
                return self._store.get(key) or there
            if key in self._mirror.made:
                raise _made(kind, key, there, "delete that, or take the platform down")
            if how.dry_run or "deletionTimestamp" in there["metadata"]:
                return there
            inside = key[2] if kind.kind == "Namespace" else None
            objects = self._manifests()
            gone = [one for one in objects if one == key or one[1] == inside]
            stay = [manifest for one, manifest in objects.items() if one not in gone]
            self._platform.aim(self._platform.asked_by(stay))
            at = now()
            for one in gone:
                self._mark(one, at)
            self._mirror.look()
            return self._store.get(key) or there

    async def aim_again(self) -> None:
        """Go for the same objects in other surroundings, such as those of a new part."""
        async with self._one_at_a_time:
            self._platform.aim(self._platform.asked_by(self._manifests().values()))
            self._mirror.look()

    def _manifests(self) -> dict[Key, Manifest]:
        """The objects that users made, as they wrote them."""
        applied = self._mirror.applied()
        return {key: Manifest("", _without_server(thing)) for key, thing in applied.items()}

    def _mark(self, key: Key, at: str) -> None:
        """Say that an object is being deleted; it stays until nothing of it runs."""
        there = self._store.get(key)
        assert there is not None  # it was applied
        own = {"deletionTimestamp": at, "deletionGracePeriodSeconds": 0}
        if key[0] != "Namespace":
            own["finalizers"] = ["foregroundDeletion"]
        self._store.put({**there, "metadata": {**there["metadata"], **own}})

    async def _restart(
        self, kind: Kind, key: Key, there: Object, new: Object, *, dry_run: bool
    ) -> Object:
        """The only change of a controller's object that has an effect."""
        stamp = _stamp(new)
        if key[0] not in _WORKLOADS or not stamp or _unstamped(there) != _unstamped(new):
            raise _made(kind, key, there, "change that")
        if dry_run or stamp == _stamp(there):
            return new
        live = [
            pod
            for at, pod in self._mirror.pods.items()
            if pod in self._platform.running.part_pods.values() and self._belongs(at, key)
        ]
        if live:
            self._mirror.restart(key, stamp)
            for pod in live:
                self._platform.running.evict(pod, kill=False)
            await asyncio.sleep(0)  # until they are told
        else:
            self._platform.restart_made(f"{key[1]}/{key[2]}", stamp)
        self._store.put(new)
        self._mirror.look()
        return self._store.get(key) or new

    def _belongs(self, pod: Key, workload: Key) -> bool:
        there = self._store.get(pod)
        if there is None or pod[1] != workload[1]:
            return False
        owner = there["metadata"]["ownerReferences"][0]
        if owner["kind"] == "ReplicaSet":
            owned_by = self._store.get(("ReplicaSet", pod[1], owner["name"]))
            owner = owned_by["metadata"]["ownerReferences"][0] if owned_by else owner
        return bool((owner["kind"], owner["name"]) == (workload[0], workload[2]))

    def _may_take(self, key: Key) -> bool:
        """Whether an object that came with a part may become a user's."""
        return (
            key in self._mirror.made and key[0] in ("Namespace", "Service") and key[2] != "default"
        )

    def _check_identity(self, kind: Kind, key: Key, there: Object | None, new: Object) -> None:
        metadata = new["metadata"]
        for field, value in (("namespace", key[1]), ("name", key[2])):
            if metadata.get(field, value) != value:
                raise Refusal(
                    400,
                    f"the {field} of the object ({metadata[field]}) is not that of the request"
                    f" ({value})",
                )
            if value:
                metadata[field] = value
        version = metadata.get("resourceVersion")
        if there is not None:
            own = there["metadata"]
            uid = metadata.get("uid")
            if uid and uid != own["uid"]:
                raise Refusal(
                    409, f'{kind.resource} "{key[2]}" has the uid {own["uid"]}, not {uid}'
                )
            if version and version != own["resourceVersion"]:
                raise Refusal(
                    409,
                    f'Operation cannot be fulfilled on {kind.resource} "{key[2]}": the object has'
                    " been modified; please apply your changes to the latest version and try again",
                )
        elif metadata.get("uid"):
            raise Refusal(409, f'{kind.resource} "{key[2]}" with uid {metadata["uid"]} is gone')

    def _check_preconditions(self, kind: Kind, there: Object, how: Deletion) -> None:
        own = there["metadata"]
        for what, wanted, has in (
            ("UID", how.uid, own["uid"]),
            ("resourceVersion", how.version, own["resourceVersion"]),
        ):
            if wanted and wanted != has:
                raise Refusal(
                    409,
                    f'Operation cannot be fulfilled on {kind.resource} "{own["name"]}":'
                    f" Precondition failed: {what} in precondition: {wanted},"
                    f" {what} in object meta: {has}",
                )

    async def _admit(self, key: Key, new: Object, *, dry_run: bool) -> None:
        manifest = Manifest("", _without_server(new))
        try:
            objects = {**self._manifests(), key: manifest}
            desired = self._platform.asked_by(objects.values())
            await self._platform.check(desired)
            if not dry_run:
                self._platform.aim(desired)
        except ManifestError as error:
            raise _invalid(manifest, error.sentences) from None
        except PlatformError as error:
            raise _invalid(manifest, [str(error)]) from None


def _invalid(manifest: Manifest, sentences: list[str] | tuple[str, ...]) -> Refusal:
    told = [one.removeprefix(": ") for one in sentences]
    causes = []
    for one in told:
        field, _, message = one.removeprefix(f"{manifest.title}: ").partition(" ")
        causes.append(("FieldValueInvalid", field, message))
    return Refusal(
        422,
        "; ".join(told),
        details={"name": manifest.name, "kind": manifest.kind},
        causes=causes,
    )


def _made(kind: Kind, key: Key, there: Object, what: str) -> Refusal:
    owners = there["metadata"].get("ownerReferences") or []
    by = f"{owners[0]['kind']} {owners[0]['name']}" if owners else "an installed part"
    return Refusal(422, f"{kind.kind} {'/'.join(filter(None, key[1:]))} is made by {by}: {what}")


def _without_server(thing: Mapping[str, Any]) -> Object:
    """An object as a user wrote it."""
    metadata = {name: value for name, value in thing["metadata"].items() if name not in _OURS}
    return {name: value for name, value in thing.items() if name not in ("status", "metadata")} | {
        "metadata": metadata
    }


def _stamp(thing: Mapping[str, Any]) -> str:
    template = (thing.get("spec") or {}).get("template") or {}
    metadata = template.get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(RESTARTED, ""))


def _unstamped(thing: Mapping[str, Any]) -> Object:
    plain = copy.deepcopy(_without_server(thing))
    metadata = plain["spec"]["template"].setdefault("metadata", {})
    notes = metadata.get("annotations") or {}
    metadata["annotations"] = {name: one for name, one in notes.items() if name != RESTARTED}
    plain["metadata"].pop("ownerReferences", None)
    return plain
