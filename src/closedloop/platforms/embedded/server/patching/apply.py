"""Server-side apply: an object, the fields of one manager, and the owners of all fields."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.patching.fields import (
    MISSING,
    Fields,
    Path,
    decode,
    encode,
    fields_of,
    remove,
    sentence,
    value_at,
)
from closedloop.platforms.embedded.server.patching.schema import (
    Names,
    is_atomic,
    item_key,
    list_keys,
)

Object = dict[str, Any]
# Manager and operation (Apply or Update).
Manager = tuple[str, str]


def apply(
    live: Object | None,
    wanted: Mapping[str, Any],
    manager: str,
    *,
    force: bool,
    custom: bool,
    time: str,
) -> Object:
    """The object after a manager applied its fields.

    Raises `Refusal` with 409 when another manager set a field otherwise and not `force`.
    """
    me: Manager = (manager, "Apply")
    owners = owned(live)
    asked = fields_of(wanted, custom=custom)
    clashes = [] if live is None else _clashes(live, wanted, asked, owners, me)
    if clashes and not force:
        raise _conflict(clashes)
    for other, path in clashes:
        owners[other] = owners[other] - {path}
    result: Object = copy.deepcopy(live) if live is not None else {}
    others = frozenset().union(*(fields for other, fields in owners.items() if other != me))
    for path in _left(owners.get(me, frozenset()) - asked - others, asked | others):
        remove(result, path)
    _merge(result, wanted, (), str(wanted["kind"]), custom)
    owners[me] = asked
    return with_owners(result, live, owners, me, str(wanted["apiVersion"]), time)


def update(live: Object | None, new: Object, manager: str, *, custom: bool, time: str) -> Object:
    """An object as a manager wrote it otherwise than by apply: it owns changed fields."""
    me: Manager = (manager, "Update")
    owners = owned(live)
    there = fields_of(new, custom=custom)
    changed = {
        path
        for path in there
        if live is None or value_at(live, path) != value_at(new, path)
        if path[0] != ("f", "status")
    }
    owners = {
        other: (fields & there) - (changed if other != me else set())
        for other, fields in owners.items()
    }
    if changed:
        owners[me] = owners.get(me, frozenset()) | changed
    return with_owners(new, live, owners, me, str(new.get("apiVersion", "")), time)


def owned(thing: Object | None) -> dict[Manager, Fields]:
    """The owners of the fields of an object."""
    entries = (thing or {}).get("metadata", {}).get("managedFields") or []
    return {
        (one.get("manager", ""), one.get("operation", "")): decode(one.get("fieldsV1") or {})
        for one in entries
    }


def with_owners(
    thing: Object,
    before: Object | None,
    owners: Mapping[Manager, Fields],
    writer: Manager,
    api_version: str,
    time: str,
) -> Object:
    """The object with its `managedFields`.

    The time of an entry is when its manager last changed a field of its own, or the value of one.
    """
    was: Sequence[Object] = (before or {}).get("metadata", {}).get("managedFields") or []
    known = {(one.get("manager", ""), one.get("operation", "")): one for one in was}
    changed = before is None or _content(before) != _content(thing)
    entries = []
    for one, fields in owners.items():
        if not fields:
            continue
        tree = encode(fields)
        same = one in known and known[one].get("fieldsV1") == tree
        if same and not (one == writer and changed):
            entries.append(known[one])
            continue
        entries.append(
            {
                "manager": one[0],
                "operation": one[1],
                "apiVersion": api_version
                if one == writer or one not in known
                else known[one].get("apiVersion", api_version),
                "time": time,
                "fieldsType": "FieldsV1",
                "fieldsV1": tree,
            }
        )
    return {**thing, "metadata": {**thing["metadata"], "managedFields": entries}}


def _content(thing: Mapping[str, Any]) -> Object:
    """The part of an object that managers write."""
    metadata = {
        name: thing["metadata"].get(name) or {} for name in ("labels", "annotations", "finalizers")
    }
    return {**thing, "metadata": metadata, "status": None}


def _left(candidates: Fields, kept: Fields) -> list[Path]:
    """The fields to take out of those that a manager no longer gives, outermost only."""
    found: list[Path] = []
    for path in sorted(candidates, key=len):
        if any(path[: len(outer)] == outer for outer in found):
            continue
        if any(one[: len(path)] == path for one in kept):
            continue
        # An item that stays keeps the fields by which it is found.
        if len(path) > 1 and path[-2][0] == "k" and path[-1][1] in dict(path[-2][1]):
            continue
        found.append(path)
    return found


def _clashes(
    live: Object,
    wanted: Mapping[str, Any],
    asked: Fields,
    owners: Mapping[Manager, Fields],
    me: Manager,
) -> list[tuple[Manager, Path]]:
    found = []
    for other, fields in owners.items():
        if other == me:
            continue
        for path in sorted(fields & asked, key=repr):
            if path[-1][0] != "f":
                continue  # that an item is there is no matter of dispute
            there, want = value_at(live, path), value_at(wanted, path)
            if there is not MISSING and there != want:
                found.append((other, path))
    return found


def _conflict(clashes: Sequence[tuple[Manager, Path]]) -> Refusal:
    causes = [
        (
            "FieldManagerConflict",
            sentence(path),
            f'conflict with "{other[0]}"'
            + ("" if other[1] == "Apply" else " using " + other[1].lower()),
        )
        for other, path in clashes
    ]
    several = "conflict" if len(causes) == 1 else "conflicts"
    listed = ", ".join(f"{message}: {field}" for _, field, message in causes)
    return Refusal(409, f"Apply failed with {len(causes)} {several}: {listed}", causes=causes)


def _merge(into: Object, wanted: Mapping[str, Any], names: Names, kind: str, custom: bool) -> None:
    for name, value in wanted.items():
        at = (*names, name)
        there = into.get(name)
        if (
            isinstance(value, Mapping)
            and value
            and isinstance(there, dict)
            and not is_atomic(kind, at)
        ):
            _merge(there, value, at, kind, custom)
        elif isinstance(value, list) and isinstance(there, list):
            keys = list_keys(kind, at, custom=custom)
            into[name] = (
                _merged_list(there, value, at, keys, kind, custom) if keys else copy.deepcopy(value)
            )
        else:
            into[name] = copy.deepcopy(value)


def _merged_list(
    there: list[Any],
    wanted: list[Any],
    names: Names,
    keys: tuple[str, ...],
    kind: str,
    custom: bool,
) -> list[Any]:
    """The items that were there and are wanted in the order wanted, the others after them."""
    known = {item_key(item, keys): item for item in there if isinstance(item, Mapping)}
    result = []
    for item in wanted:
        old = known.pop(item_key(item, keys), None)
        merged: Object = copy.deepcopy(dict(old)) if old is not None else {}
        _merge(merged, item, names, kind, custom)
        result.append(merged)
    return [*result, *known.values()]
