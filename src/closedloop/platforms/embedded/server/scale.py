"""The Scale of a workload: its replicas, read and written."""

from typing import Any

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.errors import Refusal, not_found
from closedloop.platforms.embedded.server.patching.apply import update
from closedloop.platforms.embedded.server.store import Key, Object
from closedloop.platforms.embedded.server.writing import Change


def of(thing: Object) -> Object:
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


def changed(kind: Kind, key: Key, body: Any, manager: str) -> Change:
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
