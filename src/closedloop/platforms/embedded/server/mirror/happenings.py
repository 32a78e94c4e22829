"""Events as objects."""

from closedloop.platforms.embedded.events import Event
from closedloop.platforms.embedded.kinds.table import BY_NAME
from closedloop.platforms.embedded.server.store import Object

_COMPONENT = {"Pod": "kubelet"}


def event(one: Event, uid: str) -> Object:
    """A `v1` Event about the object of this uid."""
    kind, _, path = one.key.partition("/")
    namespace, _, name = path.rpartition("/")
    about: Object = {
        "apiVersion": BY_NAME[kind].api_version,
        "kind": kind,
        "name": name,
        "uid": one.uid or uid,
        **({"namespace": namespace} if namespace else {}),
        **({"fieldPath": f"spec.containers{{{one.part}}}"} if one.part else {}),
    }
    component = _COMPONENT.get(kind, "closedloop")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{one.number:016x}", "namespace": namespace or "default"},
        "involvedObject": about,
        "type": one.type,
        "reason": one.reason,
        "message": one.message,
        "count": one.count,
        "firstTimestamp": one.first,
        "lastTimestamp": one.last,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }
