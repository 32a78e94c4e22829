"""A dump for the search of a fault, as files: objects, events, logs, versions."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import yaml

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError, NoSuchKind
from closedloop.platforms.client.diagnosis import containers, describe, is_ready, recent_events
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]

_KINDS = (
    *("Node", "Namespace", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod"),
    *("Service", "EndpointSlice", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy"),
    *("PersistentVolumeClaim", "Event", "Gateway", "VirtualService", "DestinationRule", "Broker"),
    *("Trigger", "SeldonDeployment", "PodMonitor", "ServiceMonitor", "PrometheusRule"),
    "CustomResourceDefinition",
)
_SECRET_WORDS = ("password", "token", "secret", "apikey", "api_key")
_LINES = 5000
_FORBIDDEN = 403
# On another's cluster only objects that concern us are looked at.
_OF_THE_CLUSTER = {"Node", "Namespace", "CustomResourceDefinition"}


def dump(api: Api, namespaces: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Pairs of a file's name and its content; an unreadable source becomes a file that says so."""
    pods: list[Object] = []
    for kind in _KINDS:
        yield file(f"objects/{kind}.yaml", partial(_objects, api, kind, namespaces, pods))
    yield file(
        "pods-not-ready.txt", lambda: "\n".join(describe(p) for p in pods if not is_ready(p))
    )
    for namespace in namespaces:
        yield file(f"events/{namespace or 'all'}.txt", partial(_events, api, namespace))
    for pod in pods:
        own = pod["metadata"]
        for container in containers(pod):
            place = own["namespace"], own["name"], container
            for previous in (False, True):
                name, content = file(
                    f"logs/{own['namespace']}/{own['name']}/{container}"
                    f"{'.previous' if previous else ''}.log",
                    partial(api.log, *place, lines=_LINES, previous=previous),
                )
                if content:
                    yield name, content
    yield file("versions/kubernetes.txt", api.version)


def file(name: str, read: Callable[[], str]) -> tuple[str, bytes]:
    """A file's name and content; where that cannot be read, the reason."""
    try:
        return name, read().encode()
    except PlatformError as error:
        return name, f"cannot be read: {error}\n".encode()


def _events(api: Api, namespace: str) -> str:
    return "\n".join(recent_events(api, namespace, {""}, last=1000))


def redacted(thing: Object) -> Object:
    """A Secret without its values, an environment without literal passwords, no managed fields."""
    metadata = {k: v for k, v in thing["metadata"].items() if k != "managedFields"}
    notes = dict(metadata.get("annotations") or {})
    notes.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if notes:
        metadata["annotations"] = notes
    kept = {**thing, "metadata": metadata}
    if thing.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in kept:
                kept[key] = {
                    name: f"redacted, {len(v)} characters" for name, v in kept[key].items()
                }
        return kept
    return {key: _without_passwords(value) for key, value in kept.items()}


def _without_passwords(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_passwords(each) for each in value]
    if not isinstance(value, dict):
        return value
    name = str(value.get("name", "")).lower()
    if isinstance(value.get("value"), str) and any(word in name for word in _SECRET_WORDS):
        return {**value, "value": "redacted"}
    return {key: _without_passwords(each) for key, each in value.items()}


def _objects(api: Api, kind: str, namespaces: Sequence[str], pods: list[Object]) -> str:
    found: list[Object] = []
    hidden = ""
    for namespace in [""] if kind in _OF_THE_CLUSTER else namespaces:
        try:
            found += api.list(kind, namespace)[0]
        except NoSuchKind as error:
            return f"# {error}\n"
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            hidden += f"# {namespace or 'the cluster'} cannot be read: {error}\n"
    if kind == "CustomResourceDefinition":  # their schemas are megabytes that are public
        return hidden + "".join(f"- {each['metadata']['name']}\n" for each in found)
    if kind == "Pod":
        pods.extend(found)
    return hidden + yaml.safe_dump_all([redacted(each) for each in found], sort_keys=False)
