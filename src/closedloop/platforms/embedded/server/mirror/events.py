"""Events of objects: kept in the store, and worded as a cluster words them."""

import itertools
import time
from collections import OrderedDict

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.server.store import Key, Object, Store, key_of

_KEPT = 1000
_TTL = 3600.0  # seconds, as on a cluster


class Events:
    """The last events; the same one again is counted."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[tuple[str, ...], tuple[Key, float]] = OrderedDict()
        self._numbers = itertools.count(1)

    def record(
        self, about: Object, reason: str, message: str, *, part: str = "", warning: bool = False
    ) -> None:
        """Keep that this happened to an object, or to its container `part`."""
        same = (about["metadata"]["uid"], part, reason, message)
        key, _ = self._known.pop(same, (None, 0.0))
        event = self._store.get(key) if key else None
        if event is None:
            event = _event(about, reason, message, part, next(self._numbers), warning=warning)
        else:
            event = {**event, "count": event["count"] + 1, "lastTimestamp": now()}
        self._known[same] = key_of(event), time.monotonic()
        self._store.put(event)

    def forget_old(self) -> None:
        """Take out the events that are too many, or too old."""
        limit = time.monotonic() - _TTL
        while self._known:
            same, (key, at) = next(iter(self._known.items()))
            if len(self._known) <= _KEPT and at >= limit:
                break
            del self._known[same]
            self._store.remove(key)


def _event(
    about: Object, reason: str, message: str, part: str, number: int, *, warning: bool
) -> Object:
    own, at = about["metadata"], now()
    component = "kubelet" if about["kind"] == "Pod" else "closedloop"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{own['name']}.{number:016x}",
            "namespace": own.get("namespace", "default"),
        },
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": own["name"],
            "uid": own["uid"],
            **({"namespace": own["namespace"]} if "namespace" in own else {}),
            **({"fieldPath": f"spec.containers{{{part}}}"} if part else {}),
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }
