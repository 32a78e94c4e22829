"""Deployments that a SeldonDeployment makes, ReplicaSets, and the workloads that parts are."""

from collections.abc import Mapping, Sequence
from typing import Any

from closedloop.platforms.client.workloads import NOTE, RESTARTED
from closedloop.platforms.embedded import desired
from closedloop.platforms.embedded.desired import Process
from closedloop.platforms.embedded.run.part import Part
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.workload import Workload
from closedloop.platforms.embedded.server.mirror.pods import condition, owner_reference
from closedloop.platforms.embedded.server.store import Object

_HASH = "pod-template-hash"
_VERSION = "app.kubernetes.io/version"


def deployment(one: Workload, pod: desired.Pod, owner: Object, restarted: str) -> Object:
    """The Deployment of a SeldonDeployment's predictor."""
    namespace, _, name = one.name.partition("/")
    labels = dict(pod.labels)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "replicas": len(one.target),
            "selector": {"matchLabels": _selector(labels)},
            "strategy": _STRATEGY,
            "template": template(pod, labels, restarted),
        },
    }


_STRATEGY = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0},
}


def template(
    pod: desired.Pod, labels: Mapping[str, str], restarted: str, image: str = ""
) -> Object:
    """A pod template, from processes that no manifest describes."""
    metadata: Object = {"labels": dict(labels)}
    if restarted:
        metadata["annotations"] = {RESTARTED: restarted}
    return {
        "metadata": metadata,
        "spec": {"containers": [_container(one, image) for one in pod.processes]},
    }


def replica_set(
    owner: Object, name: str, revision: str, template_of: Mapping[str, Any], pods: Sequence[LivePod]
) -> Object:
    """The ReplicaSet of one revision of a Deployment, with the pods that it has."""
    metadata = template_of.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), _HASH: revision[:8]}
    ready = sum(one.ready for one in pods)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "replicas": len(pods),
            "selector": {"matchLabels": {**_match(owner), _HASH: revision[:8]}},
            "template": {**template_of, "metadata": {**metadata, "labels": labels}},
        },
        "status": {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    }


def part(one: Part, live: LivePod, restarted: str, note: str, *, ready: bool) -> Object:
    """The workload that a part is on a cluster."""
    as_workload = one.workload
    labels = {**one.labels, **_version(one)}
    pod = one.pod()
    image = f"{one.name}:{one.version.rpartition(' ')[2]}"
    spec: Object = {
        "replicas": 1,
        "selector": {"matchLabels": dict(one.labels)},
        "template": template(pod, one.labels, restarted, image),
    }
    if as_workload.kind == "StatefulSet":
        spec |= {"serviceName": as_workload.name, "updateStrategy": {"type": "RollingUpdate"}}
    else:
        spec["strategy"] = {"type": "Recreate"}
    return {
        "apiVersion": "apps/v1",
        "kind": as_workload.kind,
        "metadata": {
            "name": as_workload.name,
            "namespace": one.namespace,
            "labels": labels,
            **({"annotations": {NOTE: note}} if note else {}),
        },
        "spec": spec,
        "status": _part_status(as_workload.kind, one, live, ready=ready),
    }


def _part_status(kind: str, one: Part, live: LivePod, *, ready: bool) -> Object:
    count = int(ready)
    revision = revision_of_part(one)
    common: Object = {
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": count,
        "availableReplicas": count,
    }
    if kind == "StatefulSet":
        return common | {
            "currentReplicas": 1,
            "currentRevision": revision,
            "updateRevision": revision,
        }
    why = live.reason
    return common | {
        "unavailableReplicas": 1 - count,
        "conditions": [
            condition("Available", ready, "MinimumReplicasUnavailable", why),
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    }


def _container(one: Process, image: str) -> Object:
    result: Object = {
        "name": one.name,
        # What Seldon's operator writes of a model's image, where it is one's.
        "image": image or one.env.get("PREDICTIVE_UNIT_IMAGE", "") or _EXECUTOR,
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in one.ports.items()
        ],
    }
    if one.readiness is not None:
        result["readinessProbe"] = _probe(one.readiness)
    if one.liveness is not None:
        result["livenessProbe"] = _probe(one.liveness)
    return result


_EXECUTOR = "closedloop/executor"


def _probe(one: desired.Probe) -> Object:
    action: Object = (
        {"tcpSocket": {"port": one.port}}
        if one.path is None
        else {"httpGet": {"path": one.path, "port": one.port, "scheme": "HTTP"}}
    )
    return action | {
        "periodSeconds": max(1, round(one.period)),
        "timeoutSeconds": max(1, round(one.timeout)),
        "failureThreshold": one.failures,
        "successThreshold": 1,
    }


def _selector(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels by which Seldon's operator selects."""
    return {"seldon-deployment-id": labels["seldon-deployment-id"], "app": labels["app"]}


def _match(owner: Object) -> dict[str, str]:
    return dict((owner["spec"].get("selector") or {}).get("matchLabels") or {})


def _version(one: Part) -> dict[str, str]:
    return {_VERSION: one.version.rpartition(" ")[2]} if one.version else {}


def pod_of_part(part: Part, pod: LivePod) -> str:
    """The name of a part's only pod."""
    workload = part.workload
    if workload.kind == "StatefulSet":
        return f"{workload.name}-0"
    return f"{workload.name}-{revision_of_part(part)}-{pod.uid[:5]}"


def revision_of_part(part: Part) -> str:
    """A part is replaced by none of another revision while the platform is up."""
    return "".join(letter for letter in part.version.lower() if letter.isalnum())[-10:] or "0"


def replica_set_name(deployment: str, revision: str) -> str:
    return f"{deployment}-{revision[:8]}"
