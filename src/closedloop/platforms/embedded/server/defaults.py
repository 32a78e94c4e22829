"""The defaults that an API server writes into objects and that clients rely on: pure."""

from collections.abc import Mapping
from typing import Any

from closedloop.platforms.embedded.server.store import Object

_PROBES = ("readinessProbe", "livenessProbe")
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def defaulted(thing: Object) -> Object:
    """An object with its defaults. A value of another shape than its kind has stays as it is."""
    spec = thing.get("spec")
    if not isinstance(spec, Mapping):
        return thing
    match thing.get("kind"):
        case "Deployment":
            template = spec.get("template")
            filled = {"replicas": 1, "strategy": {"type": "RollingUpdate"}, **spec}
            if isinstance(template, Mapping) and isinstance(template.get("spec"), Mapping):
                filled["template"] = {**template, "spec": _pod(template["spec"])}
            return {**thing, "spec": filled}
        case "Service":
            ports = [
                {"protocol": "TCP", "targetPort": one.get("port"), **one}
                if isinstance(one, Mapping)
                else one
                for one in _list(spec.get("ports"))
            ]
            filled = {"type": "ClusterIP", "sessionAffinity": "None", **spec}
            return {**thing, "spec": filled | ({"ports": ports} if "ports" in spec else {})}
        case _:
            return thing


def _pod(spec: Mapping[str, Any]) -> Object:
    containers = [
        _container(one) if isinstance(one, Mapping) else one
        for one in _list(spec.get("containers"))
    ]
    filled = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, **spec}
    return filled | ({"containers": containers} if "containers" in spec else {})


def _container(one: Mapping[str, Any]) -> Object:
    filled = dict(one)
    if isinstance(one.get("ports"), list):
        filled["ports"] = [
            {"protocol": "TCP", **port} if isinstance(port, Mapping) else port
            for port in one["ports"]
        ]
    for name in _PROBES:
        if isinstance(one.get(name), Mapping):
            filled[name] = {**_PROBE, **one[name]}
            http = one[name].get("httpGet")
            if isinstance(http, Mapping):
                filled[name]["httpGet"] = {"path": "/", "scheme": "HTTP", **http}
    return filled


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
