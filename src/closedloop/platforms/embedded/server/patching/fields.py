"""Sets of fields, such as those that a manager has set (`FieldsV1` of `managedFields`)."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from closedloop.platforms.embedded.server.patching.schema import (
    Names,
    is_atomic,
    is_set,
    item_key,
    list_keys,
)

# ("f", field name), ("k", the key of an item of a list), ("v", a value of a set).
Step = tuple[str, Any]
Path = tuple[Step, ...]
Fields = frozenset[Path]

# Owned by no manager: identity, and the fields that the server writes itself.
_NOBODYS = {
    ("apiVersion",),
    ("kind",),
    *(
        ("metadata", name)
        for name in (
            *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
            *("managedFields", "deletionTimestamp", "selfLink", "generateName"),
            "deletionGracePeriodSeconds",
        )
    ),
}


def fields_of(thing: Mapping[str, Any], *, custom: bool) -> Fields:
    """The fields that an object gives, those that nobody owns left out."""
    kind = str(thing.get("kind", ""))
    found: set[Path] = set()
    _collect(thing, (), (), kind, custom, found)
    return frozenset(found)


def _collect(
    value: Any, path: Path, names: Names, kind: str, custom: bool, found: set[Path]
) -> None:
    if names in _NOBODYS:
        return
    if isinstance(value, Mapping) and value and not is_atomic(kind, names):
        for name, child in value.items():
            _collect(child, (*path, ("f", name)), (*names, name), kind, custom, found)
        return
    if isinstance(value, list):
        keys = list_keys(kind, names, custom=custom)
        if keys and all(isinstance(item, Mapping) for item in value):
            for item in value:
                at = (*path, ("k", item_key(item, keys)))
                found.add(at)
                for name, child in item.items():
                    _collect(child, (*at, ("f", name)), (*names, name), kind, custom, found)
            return
        if is_set(names):
            found.update((*path, ("v", item)) for item in value)
            return
    if path:
        found.add(path)


def value_at(thing: Any, path: Path) -> Any:
    """The value of a field; `MISSING` when there is none."""
    for step in path:
        thing = _child(thing, step)
        if thing is MISSING:
            return MISSING
    return thing


class _Missing:
    """No value at all, which null is not."""


MISSING = _Missing()


def remove(thing: Any, path: Path) -> None:
    """Take a field out of an object, with the maps that are empty then."""
    *parents, last = path
    chain = [thing]
    for step in parents:
        below = _child(chain[-1], step)
        if below is MISSING:
            return
        chain.append(below)
    holder = chain[-1]
    if last[0] == "f" and isinstance(holder, dict):
        holder.pop(last[1], None)
    elif isinstance(holder, list):
        holder[:] = [one for one in holder if not _is(one, last)]
    if holder in ({}, []) and parents and parents[-1][0] == "f":
        remove(thing, tuple(parents))


def encode(fields: Iterable[Path]) -> dict[str, Any]:
    """`FieldsV1`."""
    tree: dict[str, Any] = {}
    whole = set(fields)
    for path in sorted(whole, key=repr):
        node = tree
        for step in path:
            node = node.setdefault(_name(step), {})
        if path[-1][0] == "k" or any(
            other[: len(path)] == path and len(other) > len(path) for other in whole
        ):
            node["."] = {}
    return tree


def decode(tree: Mapping[str, Any]) -> Fields:
    """The fields of a `FieldsV1`."""
    found: set[Path] = set()
    _decode(tree, (), found)
    return frozenset(found)


def sentence(path: Path) -> str:
    """A path as messages write it: `.spec.template.spec.containers[name="a"].image`."""
    text = ""
    for how, what in path:
        if how == "f":
            text += f".{what}"
        elif how == "k":
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in what) + "]"
        else:
            text += f"[={json.dumps(what)}]"
    return text


def _decode(tree: Mapping[str, Any], path: Path, found: set[Path]) -> None:
    if not tree and path:
        found.add(path)
    for name, below in tree.items():
        if name == ".":
            found.add(path)
            continue
        how, _, rest = name.partition(":")
        step: Step
        if how == "k":
            step = ("k", tuple(sorted(json.loads(rest).items())))
        elif how == "v":
            step = ("v", json.loads(rest))
        else:
            step = ("f", rest)
        _decode(below, (*path, step), found)


def _name(step: Step) -> str:
    how, what = step
    if how == "f":
        return f"f:{what}"
    return f"{how}:" + json.dumps(dict(what) if how == "k" else what, separators=(",", ":"))


def _child(thing: Any, step: Step) -> Any:
    how, what = step
    if how == "f":
        return thing.get(what, MISSING) if isinstance(thing, Mapping) else MISSING
    if isinstance(thing, list):
        return next((one for one in thing if _is(one, step)), MISSING)
    return MISSING


def _is(item: Any, step: Step) -> bool:
    how, what = step
    if how == "v":
        return bool(item == what)
    return isinstance(item, Mapping) and item_key(item, tuple(key for key, _ in what)) == what
