"""Waiting for the condition of an object: by a watch, and with a reason when it does not come."""

import time
from collections.abc import Callable, Container, Mapping
from typing import Any

from closedloop import seldon
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import (
    DELETED,
    demand_known,
    is_reconciled,
    is_same,
    met,
)
from closedloop.platforms.client.connection import ApiError, NoSuchKind, Unreachable
from closedloop.platforms.client.diagnosis import diagnose, is_ready, selector_of
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]

# A watch is begun anew at least this often, so that a connection that died is noticed.
_WATCH = 50.0
# A state that nothing announces is looked at again after this.
_LOOK_AGAIN = 2.0


def wait(
    api: Api,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    condition: str = "Ready",
    timeout: float = 120.0,
    uid: str = "",
) -> Object:
    """The object once it has the condition; for `Deleted` the last that was seen of it.

    An object that is not there yet is waited for. With `uid`, `Deleted` is met
    when another object has taken the name. Raises `PlatformError`: at once for
    a condition that the kind does not have, with a diagnosis after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    if not namespace and api.knows(kind) and api.is_namespaced(kind):
        namespace = "default"
    going = is_same(condition, DELETED)
    last: Object = {}

    def done(thing: Object | None) -> bool:
        nonlocal last
        if going:
            if thing is None or (uid and thing["metadata"].get("uid") != uid):
                return True
            last = thing
            return False
        demand_known(kind, condition, thing)
        if thing is None:
            last = {}
            return False
        last = {"kind": kind, **thing}
        return _holds(api, last, condition)

    away: PlatformError | None = None
    while True:
        try:
            if _follow(
                api,
                kind,
                namespace,
                deadline,
                lambda found: done(found.get(name)),
                fields=f"metadata.name={name}",
            ):
                return last
            away = None
        except NoSuchKind:
            if going:
                return last
            raise
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.status in {400, 401, 403, 405}:
                raise
            # The version is too old (410), the server restarts: begin again, but not at once.
            away = error
            time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))
        if time.monotonic() >= deadline:
            break
    if away and not last:
        raise away
    place = f"{namespace}/{name}" if namespace else name
    late = f"{kind} {place} is {'still' if going else 'not'} there after {timeout:g} s"
    if last and not going:
        late = f"{kind} {place} is not {condition} after {timeout:g} s"
    advice = "see its status below, or `closedloop bundle` for everything" if last else "apply it"
    raise PlatformError(f"{late}: {advice}\n{diagnose(api, kind, name, namespace)}")


def wait_for_new_pods(
    api: Api, workload: Object, old: Container[str], *, timeout: float = 180.0
) -> None:
    """Until all pods of a workload are ready and none has one of the `old` uids.

    Raises `PlatformError` with a diagnosis after `timeout` seconds.
    """
    own, spec = workload["metadata"], workload["spec"]
    chosen = spec["selector"].get("matchLabels") or {}
    labels = selector_of(chosen)
    deadline = time.monotonic() + timeout

    def done(pods: Mapping[str, Object]) -> bool:
        new = [pod for pod in pods.values() if pod["metadata"].get("uid") not in old]
        ready = [pod for pod in new if is_ready(pod)]
        return len(new) == len(pods) and len(ready) == len(new) == spec.get("replicas", 1)

    while time.monotonic() < deadline:
        try:
            if _follow(api, "Pod", own["namespace"], deadline, done, labels=labels):
                return
        except (ApiError, Unreachable):
            time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))
    raise PlatformError(
        f"the pods of {workload['kind']} {own['namespace']}/{own['name']} are not ready again"
        f" after {timeout:g} s\n{diagnose(api, workload['kind'], own['name'], own['namespace'])}"
    )


def _follow(
    api: Api,
    kind: str,
    namespace: str,
    deadline: float,
    done: Callable[[Mapping[str, Object]], bool],
    *,
    labels: str = "",
    fields: str = "",
) -> bool:
    """Whether objects by their names are `done`, now or after a change in a watch's time."""
    items, version = api.list(kind, namespace, labels=labels, fields=fields)
    found = {each["metadata"]["name"]: each for each in items}
    if done(found):
        return True
    left = min(_WATCH, deadline - time.monotonic())
    if kind == "SeldonDeployment":  # its condition is also that of other objects
        left = min(left, _LOOK_AGAIN)
    if left <= 0:
        return False
    for event, thing in api.watch(
        kind, namespace, resource_version=version, seconds=left, labels=labels, fields=fields
    ):
        name = thing["metadata"]["name"]
        if event == "DELETED":
            found.pop(name, None)
        else:
            found[name] = thing
        if done(found):
            return True
        if time.monotonic() >= deadline:
            return False
    return False


def _holds(api: Api, thing: Object, condition: str) -> bool:
    if not met(thing, condition):
        return False
    if thing["kind"] != "SeldonDeployment" or not is_same(condition, "Ready"):
        return True
    if "observedGeneration" in thing["status"]:
        return True  # it says which spec it is about; Seldon's operator does not
    own = thing["metadata"]
    labels = seldon.selector(own["name"])
    workloads, _ = api.list("Deployment", own.get("namespace", ""), labels=labels)
    return is_reconciled(thing, workloads)
