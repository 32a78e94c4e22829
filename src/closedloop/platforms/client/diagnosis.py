"""Why something is not ready: an object's status, its pods, the last events and log lines."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import yaml

from closedloop import seldon
from closedloop.platforms.client.api import Api
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]

_EVENTS = 12
_LINES = 15
_PODS = 5


def diagnose(api: Api, kind: str, name: str, namespace: str) -> str:
    """A text for the end of an error. A failure to read is told in its place."""
    found: Object | None = None
    sections: list[str] = []

    def status() -> Iterable[str]:
        nonlocal found
        found = api.get(kind, name, namespace)
        if found is None:
            return [f"there is no {kind} {name}"]
        if not found.get("status"):
            return ["nobody has written one yet"]
        return yaml.safe_dump(found["status"], sort_keys=False).splitlines()

    pods: list[Object] = []

    def pod_lines() -> Iterable[str]:
        pods.extend(pods_of(api, found) if found else [])
        return [describe(pod) for pod in pods]

    def events() -> Iterable[str]:
        return recent_events(api, namespace, {name, *(p["metadata"]["name"] for p in pods)})

    sections += _section("status", status)
    sections += _section("pods", pod_lines)
    sections += _section("events", events)
    for pod in [pod for pod in pods if not is_ready(pod)][:_PODS]:
        own = pod["metadata"]
        for container in containers(pod):
            sections += _section(
                f"log of {own['namespace']}/{own['name']} {container}",
                partial(_log, api, own, container),
            )
    return "\n".join(sections)


def pods_of(api: Api, thing: Object) -> list[Object]:
    """The pods that belong to a workload, a Service, a SeldonDeployment, or to nothing else."""
    namespace = thing["metadata"].get("namespace", "")
    if thing["kind"] == "Pod":
        return [thing]
    if thing["kind"] == "SeldonDeployment":
        labels = seldon.selector(thing["metadata"]["name"])
        return api.list("Pod", namespace, labels=labels)[0]
    selector = (thing.get("spec") or {}).get("selector") or {}
    if not isinstance(selector, dict):
        return []
    chosen = selector.get("matchLabels", selector if thing["kind"] == "Service" else {})
    if not chosen:
        return []
    return api.list("Pod", namespace, labels=selector_of(chosen))[0]


def selector_of(labels: Mapping[str, str]) -> str:
    """Labels as the query of a list or watch has them."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def describe(pod: Object) -> str:
    """One line: name, phase, and the reason of each container that is not ready."""
    status = pod.get("status") or {}
    told = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']} {status.get('phase', '?')}"]
    told += [
        str(condition.get("message"))
        for condition in status.get("conditions") or []
        if condition.get("type") == "PodScheduled" and condition.get("status") != "True"
    ]
    for each in [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]:
        (state, detail), *_ = (each.get("state") or {"unknown": {}}).items()
        if each.get("ready") or (state == "terminated" and detail.get("exitCode") == 0):
            continue
        words = [
            each["name"],
            state,
            *(str(detail[k]) for k in ("reason", "message", "exitCode") if k in detail),
        ]
        if each.get("restartCount"):
            words.append(f"restarted {each['restartCount']} times")
        told.append(" ".join(words))
    return "; ".join(told)


def is_ready(pod: Object) -> bool:
    """Whether its Ready condition is true."""
    return any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in (pod.get("status") or {}).get("conditions") or []
    )


def containers(pod: Object) -> list[str]:
    """Names of all its containers, those for the start first."""
    spec = pod.get("spec") or {}
    return [
        each["name"] for key in ("initContainers", "containers") for each in spec.get(key) or []
    ]


def recent_events(api: Api, namespace: str, names: set[str], *, last: int = _EVENTS) -> list[str]:
    """The last events about objects of these names, or that begin with one, oldest first."""
    about = [
        event
        for event in api.list("Event", namespace)[0]
        if any(
            str(event.get("involvedObject", {}).get("name", "")).startswith(name) for name in names
        )
    ]
    about.sort(key=_time)
    return [
        f"{_time(e)} {e.get('type')} {e.get('reason')} {e['involvedObject'].get('kind')}"
        f"/{e['involvedObject'].get('name')}: {e.get('message', '').strip()}"
        for e in about[-last:]
    ]


def _time(event: Object) -> str:
    return str(
        event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _log(api: Api, pod: Object, container: str) -> Iterable[str]:
    place = pod["namespace"], pod["name"], container
    before = api.log(*place, lines=_LINES, previous=True)
    return [*before.splitlines(), *api.log(*place, lines=_LINES).splitlines()]


def _section(title: str, read: Callable[[], Iterable[str]]) -> list[str]:
    try:
        lines = list(read())
    except PlatformError as error:
        lines = [f"cannot be read: {error}"]
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []
