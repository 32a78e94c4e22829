"""When an object is what its spec asks for: by kind, from its status, without asking anyone."""

from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

SELDON_ID = "seldon-deployment-id"
_SHADOW = "seldon.io/shadow"
_LONGEST_NAME = 63


def met(thing: Object, condition: str) -> bool:
    """Whether the object has the condition, for its newest spec.

    A workload has `Available` and `Ready` only when its rollout is complete:
    all pods are of the newest template, and ready.
    """
    kind = thing.get("kind")
    if condition in {"Available", "Ready"}:
        if kind == "Deployment":
            return _is_deployed(thing)
        if kind == "StatefulSet":
            return _is_rolled_out(thing)
        if kind == "DaemonSet":
            return _is_everywhere(thing)
    status = thing.get("status") or {}
    if not _is_observed(thing):
        return False
    return any(
        each.get("type") == condition and each.get("status") == "True"
        for each in status.get("conditions") or []
    )


def is_reconciled(deployment: Object, workloads: Sequence[Object]) -> bool:
    """Whether the Deployments are those that a SeldonDeployment's spec asks for, rolled out.

    Seldon's operator does not say which generation its status is about, so
    that Ready may still be the word about the spec before. What it makes of a
    predictor is told by names and labels (`createDeploymentWithoutEngine`,
    operator of Seldon Core v1.17.1).
    """
    wanted = {}
    name = deployment["metadata"]["name"]
    for predictor in deployment["spec"]["predictors"]:
        prefix = f"{name}-{predictor['name']}-"
        wanted[prefix] = predictor
    matched = set()
    for workload in workloads:
        own = workload["metadata"]["name"]
        known = [one for one in wanted if own.startswith(one)]
        if not known:
            if own.startswith("seldon-") and _is_hashed(own):
                continue  # a name too long to be told from its predictor's
            return False  # of a predictor that is no longer there
        prefix = max(known, key=len)
        matched.add(prefix)
        if not _is_deployed(workload) or not _has_role(workload, wanted[prefix]):
            return False
    return all(prefix in matched or len(prefix) >= _LONGEST_NAME - 10 for prefix in wanted)


def _has_role(workload: Object, predictor: Object) -> bool:
    labels = workload["spec"]["template"]["metadata"].get("labels") or {}
    if (labels.get(_SHADOW) == "true") != bool(predictor.get("shadow")):
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


def _is_hashed(name: str) -> bool:
    return len(name.removeprefix("seldon-")) == 32


def _is_observed(thing: Object) -> bool:
    observed = (thing.get("status") or {}).get("observedGeneration")
    return observed is None or bool(observed >= thing["metadata"].get("generation", 0))


def _is_deployed(thing: Object) -> bool:
    status = thing.get("status") or {}
    wanted = thing["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < thing["metadata"].get("generation", 0):
        return False
    counts = (status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas"))
    return all(count == wanted for count in counts)


def _is_rolled_out(thing: Object) -> bool:
    status = thing.get("status") or {}
    wanted = thing["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < thing["metadata"].get("generation", 0):
        return False
    if status.get("updateRevision") != status.get("currentRevision", status.get("updateRevision")):
        return bool(wanted == 0)
    return bool(status.get("readyReplicas", 0) == wanted and status.get("replicas", 0) == wanted)


def _is_everywhere(thing: Object) -> bool:
    status = thing.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    return bool(
        status.get("observedGeneration", 0) >= thing["metadata"].get("generation", 0)
        and status.get("updatedNumberScheduled", 0) == wanted
        and status.get("numberAvailable", 0) == wanted
    )
