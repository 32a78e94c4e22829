"""When an object has reached its spec: by kind, from its status, without a request."""

from collections.abc import Mapping, Sequence
from typing import Any

from closedloop import seldon
from closedloop.platforms.protocol import PlatformError

Object = Mapping[str, Any]

DELETED = "Deleted"
# The conditions that every platform gives an object of these kinds; what else is
# in the status of one can be waited for, too.
CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("Available", "Ready", "Progressing"),
    "StatefulSet": ("Available", "Ready"),
    "DaemonSet": ("Available", "Ready"),
    "Pod": ("Ready", "ContainersReady", "Initialized", "PodScheduled"),
    "Node": ("Ready",),
    "SeldonDeployment": (
        "Ready",
        "DeploymentsReady",
        "ServicesReady",
        "istioVirtualServicesReady",
    ),
    "Broker": ("Ready",),
    "Trigger": ("Ready",),
    "CustomResourceDefinition": ("Established", "NamesAccepted"),
    **dict.fromkeys(
        ("ConfigMap", "Secret", "Service", "ServiceAccount", "Namespace", "Gateway", "PodMonitor"),
        (),
    ),
}
# The counts in the status of a workload that are those of its spec once a rollout is complete.
_COUNTS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("updatedReplicas", "replicas", "availableReplicas"),
    "StatefulSet": ("readyReplicas", "replicas"),
    "DaemonSet": ("updatedNumberScheduled", "numberAvailable"),
}


def is_same(one: str, other: str) -> bool:
    """Whether two names of a condition are one: letter case does not tell them apart."""
    return one.lower() == other.lower()


def demand_known(kind: str, condition: str, thing: Object | None) -> None:
    """Raise `PlatformError` for a condition that an object of this kind never has.

    What the object as it is now, if it is there, has in its status counts as known.
    """
    if kind not in CONDITIONS or is_same(condition, DELETED):
        return
    known = CONDITIONS[kind]
    if any(is_same(condition, one) for one in (*known, *(each["type"] for each in _listed(thing)))):
        return
    if not known:
        raise PlatformError(f"a {kind} has no conditions: only {DELETED} can be waited for")
    raise PlatformError(
        f"a {kind} has no condition {condition}: name one of {', '.join((*known, DELETED))}"
    )


def met(thing: Object, condition: str) -> bool:
    """Whether the object has the condition, in any letter case, for its newest spec.

    A workload is `Available` and `Ready` only when its rollout is complete:
    all pods are of the newest template, and ready.
    """
    if condition.lower() in ("available", "ready") and thing.get("kind") in _COUNTS:
        return _is_rolled_out(thing)
    return _is_observed(thing) and any(
        is_same(str(each.get("type")), condition) and each.get("status") == "True"
        for each in _listed(thing)
    )


def is_reconciled(deployment: Object, workloads: Sequence[Object]) -> bool:
    """Whether the Deployments are those that a SeldonDeployment's spec asks for, rolled out.

    Seldon's operator does not say which generation its status is about, so
    that Ready may still be the word about the spec before. Each predictor's pods
    carry the name of its Service as a label.
    """
    name = deployment["metadata"]["name"]
    wanted = {
        seldon.predictor_service(
            name, one["name"], (one.get("annotations") or {}).get(seldon.SERVICE_NAME)
        ): one
        for one in deployment["spec"]["predictors"]
    }
    made = [(str(_labels(workload).get(seldon.APP)), workload) for workload in workloads]
    return {service for service, _ in made} == wanted.keys() and all(
        _is_rolled_out(workload) and _has_role(workload, wanted[service])
        for service, workload in made
    )


def _labels(workload: Object) -> Object:
    return workload["spec"]["template"]["metadata"].get("labels") or {}


def _has_role(workload: Object, predictor: Object) -> bool:
    if (_labels(workload).get(seldon.SHADOW) == "true") != bool(predictor.get("shadow")):
        return False
    has = {each["name"]: each.get("image") for each in _containers(workload["spec"]["template"])}
    return all(
        has.get(each["name"]) == each["image"]
        for component in predictor.get("componentSpecs") or []
        for each in _containers(component)
        if each.get("image")
    )


def _containers(template: Object) -> Sequence[Object]:
    return (template.get("spec") or {}).get("containers") or []


def _listed(thing: Object | None) -> Sequence[Object]:
    return ((thing or {}).get("status") or {}).get("conditions") or []


def _is_observed(thing: Object) -> bool:
    observed = (thing.get("status") or {}).get("observedGeneration")
    return observed is None or bool(observed >= thing["metadata"].get("generation", 0))


def _is_rolled_out(workload: Object) -> bool:
    """Whether all pods are of the newest template, and ready."""
    status, kind = workload.get("status") or {}, workload["kind"]
    wanted = workload["spec"].get("replicas", 1)
    if kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    newest = status.get("updateRevision")  # of a StatefulSet
    if newest != status.get("currentRevision", newest):
        return bool(wanted == 0)
    return all(status.get(count, 0) == wanted for count in _COUNTS[kind])
