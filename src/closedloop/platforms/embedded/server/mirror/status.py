"""The `status` of objects: what a cluster would write into them."""

from collections.abc import Callable, Iterable, Sequence

from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.workload import Workload

Status = dict[str, object]

# A process that ended this often without ever being ready is said to have failed.
_HOPELESS = 4


def of_deployment(
    replicas: int,
    workload: Workload | None,
    problems: Sequence[str] = (),
    *,
    ready: Callable[[LivePod], bool] = lambda pod: pod.ready,
) -> Status:
    """`apps/v1` DeploymentStatus; a pod that is leaving is not counted, as on a cluster."""
    pods = [one for one in workload.pods if not one.draining] if workload else []
    updated = workload.updated if workload else []
    available = [one for one in pods if ready(one)]
    # The new pods must do it alone: Available is what a client waits for after a change.
    enough = not problems and sum(ready(one) for one in updated) >= replicas
    settled = enough and (workload is None or workload.settled)
    waits = workload.waits_for if workload else ()
    why = "; ".join((*problems, *waits)) or reasons(pods)
    return {
        "replicas": len(pods),
        "updatedReplicas": len(updated),
        "readyReplicas": len(available),
        "availableReplicas": len(available),
        "unavailableReplicas": max(0, replicas - len(available)),
        "conditions": [
            condition("Available", enough, "MinimumReplicas", why),
            _progressing(workload, settled, why),
        ],
    }


def _progressing(workload: Workload | None, settled: bool, why: str) -> dict[str, str]:
    """Stays true, as on a cluster, from when no pod of another revision is left."""
    if workload is None or not workload.rolled_out:
        return condition("Progressing", settled, "NewReplicaSet", why)
    return {
        "type": "Progressing",
        "status": "True",
        "reason": "NewReplicaSetAvailable",
        "lastUpdateTime": workload.rolled_out,
    }


def of_seldon_deployment(
    workloads: Sequence[Workload],
    *,
    routed: bool,
    address: str,
    refusal: str = "",
    problems: Sequence[str] = (),
) -> Status:
    """`machinelearning.seldon.io/v1` SeldonDeploymentStatus; `refusal` is the gateway's."""
    pods = [one for workload in workloads for one in workload.pods]
    there = [one for one in workloads if one.target]
    ready = bool(there) and not problems and all(one.settled for one in workloads)
    hopeless = [one for one in pods if not one.was_ready and one.restarts >= _HOPELESS]
    waits = [reason for one in workloads for reason in one.waits_for]
    why = "; ".join((*problems, *waits)) or reasons(pods)
    unrouted = refusal or "the route waits for its pods"
    routed = routed and not refusal
    done = ready and routed
    return {
        "state": "Available" if done else "Failed" if hopeless or problems else "Creating",
        "description": "" if done else why or refusal,
        "address": {"url": address},
        "replicas": sum(len(one.target) for one in there),
        "deploymentStatus": {
            one.name.partition("/")[2]: {
                "replicas": len(one.target),
                "availableReplicas": sum(pod.ready for pod in one.updated),
            }
            for one in there
        },
        "conditions": [
            condition("DeploymentsReady", ready, "Deployments", why),
            condition("ServicesReady", bool(there), "Services", why),
            condition("istioVirtualServicesReady", routed, "Route", unrouted),
            condition("Ready", done, "SeldonDeployment", why or unrouted),
        ],
    }


def of_eventing(why_not: str, url: str = "") -> Status:
    """Status of a Broker or Trigger: ready, or why not."""
    status: Status = {"conditions": [condition("Ready", not why_not, "Broker", why_not)]}
    return status | ({"address": {"url": url}} if url else {})


def condition(kind: str, true: bool, reason: str, message: str) -> dict[str, str]:
    """A condition as in Kubernetes; reason and message are why it is not true."""
    if true:
        return {"type": kind, "status": "True"}
    return {
        "type": kind,
        "status": "False",
        "reason": f"{reason}NotReady",
        "message": message or "it is being made ready",
    }


def reasons(pods: Iterable[LivePod]) -> str:
    """Why pods are not ready, in one line."""
    return "; ".join(f"{one.name}: {one.reason}" for one in pods if not one.ready and one.reason)
