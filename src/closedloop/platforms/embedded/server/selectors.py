"""Label and field selectors, as the query of a list or watch has them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from closedloop.platforms.embedded.server.errors import Refusal

Matches = Callable[[Mapping[str, Any]], bool]

_SET = re.compile(r"^\s*(?P<key>[^\s=!,()]+)\s+(?P<how>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s=!,()]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s=!,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<how>!?)\s*(?P<key>[^\s=!,()]+)\s*$")
# A comma, but not one between the parentheses of a set.
_COMMA = re.compile(r",(?![^(]*\))")
# The fields that a cluster can select by: of every kind its name, of some a little more.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Pod": ("spec.nodeName", "spec.restartPolicy", "status.phase", "status.podIP"),
    "Event": (
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid")),
        *("involvedObject.apiVersion", "involvedObject.fieldPath"),
        *("involvedObject.resourceVersion", "reason", "reportingComponent", "source", "type"),
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "ReplicaSet": ("status.replicas",),
}


def labels(selector: str) -> Matches:
    """Whether an object has the labels. Raises `Refusal` for a text that is no selector."""
    tests = [_label(part) for part in _COMMA.split(selector) if part.strip()]

    def matches(thing: Mapping[str, Any]) -> bool:
        there = thing["metadata"].get("labels") or {}
        return all(test(there) for test in tests)

    return matches


def fields(selector: str, kind: str) -> Matches:
    """Whether an object of a kind has the fields. Raises `Refusal` for a field not to select by."""
    known = ("metadata.name", "metadata.namespace", *_FIELDS.get(kind, ()))
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for part in selector.split(","):
        if not part.strip():
            continue
        found = _EQUAL.match(part)
        if found is None:
            raise Refusal(400, f'unable to parse field selector "{selector}"')
        if found["key"] not in known:
            raise Refusal(400, f'field label not supported: "{found["key"]}" of a {kind}')
        tests.append((tuple(found["key"].split(".")), found["how"] != "!=", found["value"]))

    def matches(thing: Mapping[str, Any]) -> bool:
        return all((_text(thing, path) == value) is equal for path, equal, value in tests)

    return matches


def _label(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, inside = found["key"], found["how"] == "in"
        values = {value.strip() for value in found["values"].split(",")}
        return lambda there: (there.get(key) in values) is inside
    if found := _EQUAL.match(part):
        key, equal, value = found["key"], found["how"] != "!=", found["value"]
        return lambda there: (there.get(key) == value) is equal
    if found := _EXISTS.match(part):
        key, there_is = found["key"], not found["how"]
        return lambda there: (key in there) is there_is
    raise Refusal(400, f'unable to parse requirement "{part}" of the label selector')


def _text(thing: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = thing
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)
