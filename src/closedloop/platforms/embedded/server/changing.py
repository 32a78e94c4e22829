"""The ways of changing an object by a request: PUT, three kinds of patches, apply, and scale."""

from collections.abc import Mapping
from typing import Any

import jsonpatch

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.errors import Refusal, not_found
from closedloop.platforms.embedded.server.patching import strategic
from closedloop.platforms.embedded.server.patching.apply import apply, update
from closedloop.platforms.embedded.server.requests import is_set, thing
from closedloop.platforms.embedded.server.store import Key, Object
from closedloop.platforms.embedded.server.writing import Change

APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")
JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def replaced(kind: Kind, key: Key, body: Any, manager: str) -> Change:
    """The object after a PUT."""
    new = named(kind, thing(body))

    def change(there: Object | None) -> Object:
        if there is None:
            raise not_found(kind.resource, key[2])
        new["metadata"]["managedFields"] = there["metadata"].get("managedFields") or []
        return update(there, new, manager, custom=kind.is_custom, time=now())

    return change


def patched(
    kind: Kind, key: Key, body: Any, content_type: str, manager: str, query: Mapping[str, str]
) -> Change:
    """The object after a PATCH. Raises `Refusal` for a patch of no known type."""
    if content_type in APPLY:
        return _applied(kind, body, manager, query)
    if content_type == STRATEGIC and kind.is_custom:
        raise Refusal(
            415,
            f"{kind.resource} take no strategic merge patch: send {MERGE}, {JSON} or {APPLY[0]}",
        )
    if content_type not in (JSON, MERGE, STRATEGIC):
        known = ", ".join((JSON, MERGE, STRATEGIC, APPLY[0]))
        raise Refusal(415, f"the content type {content_type!r} is no patch: send one of {known}")

    def change(there: Object | None) -> Object:
        if there is None:
            raise not_found(kind.resource, key[2])
        try:
            new = _patch(kind, there, body, content_type)
        except (AttributeError, KeyError, TypeError) as error:
            raise Refusal(400, f"the patch does not fit the object: {error}") from None
        return update(there, named(kind, thing(new)), manager, custom=kind.is_custom, time=now())

    return change


def named(kind: Kind, new: Object) -> Object:
    """An object with its kind and version. Raises `Refusal` when it says others."""
    for field, value in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if new.setdefault(field, value) != value:
            raise Refusal(400, f"{field} is {new[field]!r}: a request to this path is for {value}")
    return new


def _applied(kind: Kind, body: Any, manager: str, query: Mapping[str, str]) -> Change:
    wanted = named(kind, thing(body))
    if not query.get("fieldManager"):
        raise Refusal(400, "fieldManager is required for apply patch")
    if wanted["metadata"].get("managedFields"):
        raise Refusal(400, "metadata.managedFields must be nil")

    def change(there: Object | None) -> Object:
        return apply(
            there,
            wanted,
            manager,
            force=is_set(query, "force"),
            custom=kind.is_custom,
            time=now(),
        )

    return change


def _patch(kind: Kind, there: Object, body: Any, content_type: str) -> Any:
    if content_type == STRATEGIC:
        return strategic.merge(there, thing(body), kind.kind)
    if content_type == MERGE:
        return strategic.merge_json(there, body)
    try:
        return jsonpatch.apply_patch(there, body)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Refusal(422, f"the server rejected our request due to an error: {error}") from None


def scale_of(thing: Object) -> Object:
    """An `autoscaling/v1` Scale."""
    own = thing["metadata"]
    matched = ((thing["spec"].get("selector") or {}).get("matchLabels") or {}).items()
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            name: own[name]
            for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        },
        "spec": {"replicas": thing["spec"].get("replicas", 1)},
        "status": {
            "replicas": (thing.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(matched)),
        },
    }


def scaled(kind: Kind, key: Key, body: Any, manager: str) -> Change:
    """The workload after a Scale, or a patch of one. Raises `Refusal`."""
    spec = body.get("spec") if isinstance(body, dict) else None
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or replicas < 0:
        raise Refusal(422, f"spec.replicas is {replicas!r}: it must be a whole number, 0 or more")

    def change(there: Object | None) -> Object:
        if there is None:
            raise not_found(kind.resource, key[2])
        new = {**there, "spec": {**there["spec"], "replicas": replicas}}
        return update(there, new, manager, custom=kind.is_custom, time=now())

    return change
