"""Strategic merge patch: a merge patch that tells the items of some lists apart."""

import copy
from collections.abc import Mapping
from typing import Any

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.patching.schema import Names, is_set, patch_key

Object = dict[str, Any]

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_TAKE = "$deleteFromPrimitiveList/"


def merge(thing: Mapping[str, Any], patch: Mapping[str, Any], kind: str) -> Object:
    """An object of a kind of Kubernetes' own after a patch. Raises `Refusal` for a bad one."""
    return _merge(thing, patch, (), kind)


def merge_json(thing: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(thing) if isinstance(thing, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_json(result.get(name), value)
    return result


def _merge(thing: Mapping[str, Any], patch: Mapping[str, Any], names: Names, kind: str) -> Object:
    match patch.get(_PATCH):
        case "replace":
            return _plain_map({name: value for name, value in patch.items() if name != _PATCH})
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise Refusal(400, f"unknown patch type {other!r} in {'.'.join(names) or 'the object'}")
    result = dict(thing)
    if isinstance(patch.get(_RETAIN), list):
        result = {name: value for name, value in result.items() if name in patch[_RETAIN]}
    for name, value in patch.items():
        if name.startswith(_TAKE) and isinstance(value, list):
            field = name.removeprefix(_TAKE)
            result[field] = [one for one in result.get(field) or [] if one not in value]
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        at = (*names, name)
        there = result.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = _merge(there if isinstance(there, Mapping) else {}, value, at, kind)
        elif isinstance(value, list):
            order = patch.get(_ORDER + name)
            result[name] = _merge_list(there or [], value, order, at, kind)
        else:
            result[name] = value
    for name, order in patch.items():
        field = name.removeprefix(_ORDER)
        if name.startswith(_ORDER) and field not in patch and isinstance(result.get(field), list):
            result[field] = _ordered(
                result[field], order, patch_key(kind, (*names, field), custom=False)
            )
    return result


def _merge_list(
    there: list[Any], patch: list[Any], order: list[Any] | None, names: Names, kind: str
) -> list[Any]:
    key = patch_key(kind, names, custom=False)
    if not key:
        if is_set(names):
            return _ordered([*there, *(one for one in patch if one not in there)], order, "")
        return [_plain(one) for one in patch]
    if any(isinstance(one, Mapping) and one.get(_PATCH) == "replace" for one in patch):
        return [_plain(one) for one in patch if one.get(_PATCH) != "replace"]
    result = list(there)
    for item in patch:
        if not isinstance(item, Mapping) or key not in item:
            raise Refusal(
                400, f"an item of {'.'.join(names)} has no {key}, by which it would be found"
            )
        at = next((i for i, one in enumerate(result) if one.get(key) == item[key]), None)
        if item.get(_PATCH) == "delete":
            result = [one for one in result if one.get(key) != item[key]]
        elif at is None:
            result.append(_plain(_merge({}, item, names, kind)))
        else:
            result[at] = _merge(result[at], item, names, kind)
    return _ordered(result, order, key)


def _ordered(items: list[Any], order: list[Any] | None, key: str) -> list[Any]:
    """Items in the order asked for, those that are not in it after the item that they followed."""
    if not order:
        return items

    def name(one: Any) -> Any:
        return one.get(key) if key and isinstance(one, Mapping) else one

    ranks = {name(one): rank for rank, one in enumerate(order)}
    ranked, last = [], -1.0
    for one in items:
        last = float(ranks.get(name(one), last))
        ranked.append((last, name(one) not in ranks, one))
    return [one for _, _, one in sorted(ranked, key=lambda each: each[:2])]


def _plain(value: Any) -> Any:
    """A value without directives."""
    if isinstance(value, Mapping):
        return _plain_map(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _plain_map(value: Mapping[str, Any]) -> Object:
    return {
        name: _plain(child)
        for name, child in value.items()
        if not name.startswith("$") and child is not None
    }
