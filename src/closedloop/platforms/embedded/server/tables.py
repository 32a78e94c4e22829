"""Objects as rows, with the columns that a cluster prints."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.store import Object

# A column: its title, its type, whether only the wide output has it, and its value.
Column = tuple[str, str, bool, Callable[[Object], object]]


def table(kind: Kind, items: list[Object], version: str, include: str) -> Object:
    """A `meta.k8s.io/v1` Table; `include` is None, Metadata or Object."""
    columns = _columns(kind)
    if kind.kind != "Event":  # whose names say nothing
        columns = (("Name", "string", False, _name), *columns)
    return {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "Table",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {
                "name": title,
                "type": of,
                "format": "name" if title == "Name" else "",
                "description": "",
                "priority": int(wide),
            }
            for title, of, wide, _ in columns
        ],
        "rows": [
            {
                "cells": [value(thing) for _, _, _, value in columns],
                **({} if include == "None" else {"object": _included(thing, include)}),
            }
            for thing in items
        ],
    }


def partial(thing: Object) -> Object:
    """The metadata of an object alone."""
    return {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": thing["metadata"],
    }


def _included(thing: Object, include: str) -> Object:
    return thing if include == "Object" else partial(thing)


def _columns(kind: Kind) -> tuple[Column, ...]:
    if kind.kind in _OF_KIND:
        return _OF_KIND[kind.kind]
    if not kind.columns:
        return (_AGE,)
    own: list[Column] = [
        _AGE if title == "AGE" else (title, "string", False, _at(path))
        for title, path in kind.columns
    ]
    return tuple(own) if _AGE in own else (*own, _AGE)


def age(since: str) -> str:
    """How long ago a time was, as kubectl writes it."""
    if not since:
        return "<unknown>"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    if seconds < 0:
        return "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _name(thing: Object) -> object:
    return thing["metadata"]["name"]


def _age(thing: Object) -> object:
    return age(thing["metadata"].get("creationTimestamp", ""))


_AGE: Column = ("Age", "string", False, _age)


def _at(path: str) -> Callable[[Object], object]:
    """The value at a path of a definition's printer column, the two forms that occur."""
    head, _, condition = path.partition("[?(@.type=='")
    steps = [step for step in head.split(".") if step]

    def value(thing: Object) -> object:
        found: Any = thing
        for step in steps:
            found = found.get(step) if isinstance(found, Mapping) else None
        if condition:
            of, _, field = condition.partition("')].")
            found = next((one.get(field) for one in found or () if one.get("type") == of), None)
        if isinstance(found, list):
            return "[" + ",".join(f'"{one}"' for one in found) + "]"
        return "" if found is None else str(found)

    return value


def _get(thing: Mapping[str, Any], *path: str) -> Any:
    found: Any = thing
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _ready_containers(pod: Object) -> object:
    statuses = _get(pod, "status", "containerStatuses") or []
    return f"{sum(bool(one.get('ready')) for one in statuses)}/{len(statuses)}"


def _pod_status(pod: Object) -> object:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    reason = _get(pod, "status", "phase")
    for one in reversed(_get(pod, "status", "containerStatuses") or []):
        state = one.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        reason = waiting.get("reason") or ended.get("reason") or reason
    return reason


def _restarts(pod: Object) -> object:
    statuses = _get(pod, "status", "containerStatuses") or []
    count = sum(one.get("restartCount", 0) for one in statuses)
    ended = [_get(one, "lastState", "terminated", "finishedAt") for one in statuses]
    last = max(filter(None, ended), default="")
    return f"{count} ({age(last)} ago)" if last else str(count)


def _text(*path: str, absent: str = "<none>") -> Callable[[Object], object]:
    return lambda thing: str(_get(thing, *path) or absent)


def _number(*path: str) -> Callable[[Object], object]:
    return lambda thing: int(_get(thing, *path) or 0)


def _ratio(thing: Object) -> object:
    return f"{_number('status', 'readyReplicas')(thing)}/{_number('spec', 'replicas')(thing)}"


def _containers(field: str) -> Callable[[Object], object]:
    return lambda thing: ",".join(
        str(one.get(field, ""))
        for one in _get(thing, "spec", "template", "spec", "containers") or ()
    )


def _labels(*path: str) -> Callable[[Object], object]:
    def value(thing: Object) -> object:
        found = _get(thing, *path) or {}
        return ",".join(f"{key}={one}" for key, one in sorted(found.items())) or "<none>"

    return value


def _ports(service: Object) -> object:
    ports = _get(service, "spec", "ports") or []
    return (
        ",".join(
            f"{one['port']}" + (f":{one['nodePort']}" if one.get("nodePort") else "") + "/TCP"
            for one in ports
        )
        or "<none>"
    )


def _external(service: Object) -> object:
    return _get(service, "spec", "externalName") or "<none>"


def _event_object(event: Object) -> object:
    about = event["involvedObject"]
    return f"{about['kind'].lower()}/{about['name']}"


def _last_seen(event: Object) -> object:
    return age(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp", ""))


def _event_count(event: Object) -> object:
    return int(event.get("count") or 1)


def _size(field: str) -> Callable[[Object], object]:
    return lambda thing: len(thing.get(field) or {})


def _slice_addresses(thing: Object) -> object:
    found = [address for one in thing.get("endpoints") or () for address in one["addresses"]]
    return ",".join(found) or "<unset>"


def _slice_ports(thing: Object) -> object:
    return ",".join(str(one.get("port")) for one in thing.get("ports") or ()) or "<unset>"


def _node_status(thing: Object) -> object:
    conditions = _get(thing, "status", "conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return "Ready" if ready else "NotReady"


_WIDE: tuple[Column, ...] = (
    ("Containers", "string", True, _containers("name")),
    ("Images", "string", True, _containers("image")),
    ("Selector", "string", True, _labels("spec", "selector", "matchLabels")),
)
_OF_KIND: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        ("Ready", "string", False, _ready_containers),
        ("Status", "string", False, _pod_status),
        ("Restarts", "string", False, _restarts),
        _AGE,
        ("IP", "string", True, _text("status", "podIP")),
        ("Node", "string", True, _text("spec", "nodeName")),
    ),
    "Deployment": (
        ("Ready", "string", False, _ratio),
        ("Up-to-date", "integer", False, _number("status", "updatedReplicas")),
        ("Available", "integer", False, _number("status", "availableReplicas")),
        _AGE,
        *_WIDE,
    ),
    "StatefulSet": (("Ready", "string", False, _ratio), _AGE, *_WIDE[:2]),
    "ReplicaSet": (
        ("Desired", "integer", False, _number("spec", "replicas")),
        ("Current", "integer", False, _number("status", "replicas")),
        ("Ready", "integer", False, _number("status", "readyReplicas")),
        _AGE,
        *_WIDE,
    ),
    "Service": (
        ("Type", "string", False, _text("spec", "type", absent="ClusterIP")),
        ("Cluster-IP", "string", False, _text("spec", "clusterIP")),
        ("External-IP", "string", False, _external),
        ("Port(s)", "string", False, _ports),
        _AGE,
        ("Selector", "string", True, _labels("spec", "selector")),
    ),
    "Namespace": (("Status", "string", False, _text("status", "phase", absent="Active")), _AGE),
    "Node": (
        ("Status", "string", False, _node_status),
        ("Roles", "string", False, lambda _: "<none>"),
        _AGE,
        ("Version", "string", False, _text("status", "nodeInfo", "kubeletVersion")),
    ),
    "Event": (
        ("Last Seen", "string", False, _last_seen),
        ("Type", "string", False, _text("type")),
        ("Reason", "string", False, _text("reason")),
        ("Object", "string", False, _event_object),
        ("Subobject", "string", True, _text("involvedObject", "fieldPath", absent="")),
        ("Source", "string", True, _text("source", "component", absent="")),
        ("Message", "string", False, _text("message", absent="")),
        ("Count", "integer", True, _event_count),
        ("Name", "string", True, _name),
    ),
    "ConfigMap": (("Data", "integer", False, _size("data")), _AGE),
    "Secret": (
        ("Type", "string", False, _text("type", absent="Opaque")),
        ("Data", "integer", False, _size("data")),
        _AGE,
    ),
    "ServiceAccount": (("Secrets", "integer", False, _size("secrets")), _AGE),
    "EndpointSlice": (
        ("AddressType", "string", False, _text("addressType")),
        ("Ports", "string", False, _slice_ports),
        ("Endpoints", "string", False, _slice_addresses),
        _AGE,
    ),
    "CustomResourceDefinition": (
        ("Created At", "date", False, _text("metadata", "creationTimestamp")),
    ),
}
