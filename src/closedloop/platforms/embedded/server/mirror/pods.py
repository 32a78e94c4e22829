"""Pods: the objects of what runs, with the states of their containers."""

from collections.abc import Mapping
from typing import Any

from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.supervisor import Exit, Supervised
from closedloop.platforms.embedded.server.store import Object

HOST = "127.0.0.1"
NODE = "localhost"
_SIGNALS = 128  # a shell's way to say that a signal ended a process


def pod(
    live: LivePod,
    name: str,
    namespace: str,
    template: Mapping[str, Any],
    owner: Object,
    *,
    ready: bool,
    deleted: str = "",
) -> Object:
    """A Pod made of a template by its owner; `deleted` is since when it ends, if it does."""
    metadata = dict(template.get("metadata") or {})
    metadata |= {
        "name": name,
        "namespace": namespace,
        "uid": live.uid,
        "creationTimestamp": live.born,
        "labels": dict(metadata.get("labels") or {}),
        "ownerReferences": [owner_reference(owner)],
    }
    if owner["kind"] == "ReplicaSet":
        metadata["generateName"] = owner["metadata"]["name"] + "-"
    spec = {"restartPolicy": "Always", "nodeName": NODE, **template["spec"]}
    if deleted:
        grace = int(max(one.process.stop_grace for one in live.processes))
        metadata |= {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": grace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": status(live, spec, ready=ready),
    }


def owner_reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def status(live: LivePod, spec: Mapping[str, Any], *, ready: bool) -> Object:
    """`v1` PodStatus."""
    images = {one["name"]: one.get("image", "") for one in spec.get("containers") or []}
    started = all(one.started for one in live.processes)
    why = live.reason if not ready else ""
    unready = [one.process.name for one in live.processes if one.state != "ready"]
    if not ready and not unready:
        why = "it is ready and not in traffic yet"
    return {
        "phase": "Running" if started else "Pending",
        "conditions": [
            condition("PodScheduled", True),
            condition("Initialized", True),
            condition("ContainersReady", not unready, "ContainersNotReady", why),
            condition("Ready", ready, "ContainersNotReady", why),
        ],
        "hostIP": HOST,
        "hostIPs": [{"ip": HOST}],
        "podIP": live.address,
        "podIPs": [{"ip": live.address}],
        "startTime": live.born,
        "qosClass": "BestEffort",
        "containerStatuses": [
            _container(live, one, images.get(one.process.name, ""), ready) for one in live.processes
        ],
    }


def condition(kind: str, true: bool, reason: str = "", message: str = "") -> Object:
    """A condition; reason and message are why it is not true."""
    if true:
        return {"type": kind, "status": "True"}
    return {
        "type": kind,
        "status": "False",
        "reason": reason,
        "message": message or "it is being made ready",
    }


def _container(live: LivePod, one: Supervised, image: str, in_traffic: bool) -> Object:
    restarts = live.restarts_of(one)
    is_ready = one.state == "ready" and (in_traffic or any(o is not one for o in live.processes))
    result: Object = {
        "name": one.process.name,
        "image": image,
        "imageID": "",
        "ready": is_ready,
        "started": one.pid is not None,
        "restartCount": restarts,
        "state": _state(one, restarts),
        "lastState": {},
    }
    if one.pid is not None:
        result["containerID"] = f"process://{one.pid}"
    last = one.exit
    if last is not None and restarts and last.started >= live.born:
        result["lastState"] = {"terminated": _terminated(last)}
    return result


def _state(one: Supervised, restarts: int) -> Object:
    if one.pid is not None:
        return {"running": {"startedAt": one.started}}
    if one.state == "stopped" and one.exit is not None:
        return {"terminated": _terminated(one.exit)}
    if one.exit is not None and restarts:
        text = f"back-off restarting failed container {one.process.name}: {one.reason}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
    if one.reason and one.restarts:
        return {"waiting": {"reason": "RunContainerError", "message": one.reason}}
    return {"waiting": {"reason": "ContainerCreating"}}


def _terminated(exit_of: Exit) -> Object:
    status = exit_of.status
    result: Object = {
        "exitCode": status if status >= 0 else _SIGNALS - status,
        "reason": "Completed" if status == 0 else "Error",
        "startedAt": exit_of.started,
        "finishedAt": exit_of.finished,
    }
    return result if status >= 0 else result | {"signal": -status}
