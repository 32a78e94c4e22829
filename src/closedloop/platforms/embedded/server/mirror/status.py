"""The status that controllers write into objects, those of users and those that they made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.workload import Workload
from closedloop.platforms.embedded.server.mirror.pods import condition
from closedloop.platforms.embedded.server.store import Object

# A process that ended this often without ever being ready is said to have failed.
_HOPELESS = 4


def of_deployment(
    replicas: int,
    workload: Workload | None,
    problems: Sequence[str] = (),
    *,
    ready: Callable[[LivePod], bool] = lambda pod: pod.ready,
) -> Object:
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
            condition("Available", enough, "MinimumReplicasNotReady", why),
            _progressing(workload, settled, why),
        ],
    }


def _progressing(workload: Workload | None, settled: bool, why: str) -> Object:
    """Stays true, as on a cluster, from when no pod of another revision is left."""
    if workload is None or not workload.rolled_out:
        return condition("Progressing", settled, "NewReplicaSetNotReady", why)
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
) -> Object:
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
            condition("DeploymentsReady", ready, "DeploymentsNotReady", why),
            condition("ServicesReady", bool(there), "ServicesNotReady", why),
            condition("istioVirtualServicesReady", routed, "RouteNotReady", unrouted),
            condition("Ready", done, "SeldonDeploymentNotReady", why or unrouted),
        ],
    }


def of_eventing(why_not: str, url: str = "") -> Object:
    """Status of a Broker or Trigger: ready, or why not."""
    status: Object = {"conditions": [condition("Ready", not why_not, "BrokerNotReady", why_not)]}
    return status | ({"address": {"url": url}} if url else {})


def reasons(pods: Iterable[LivePod]) -> str:
    """Why pods are not ready, in one line."""
    return "; ".join(f"{one.name}: {one.reason}" for one in pods if not one.ready and one.reason)


def of(platform: Controller, thing: Object, broker: str) -> Object | None:
    """The status that a controller would write; None for a kind without one.

    `broker` is why the broker does not do yet what is desired, or empty.
    """
    kind = thing["kind"]
    metadata = thing["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    key = f"{kind}/{namespace}/{name}"
    problems = platform.desired.problems.get(key, ())
    match kind:
        case "Deployment":
            workload = platform.running.workloads.get(f"{namespace}/{name}")
            return deployment(platform, int(thing["spec"].get("replicas", 1)), workload, problems)
        case "SeldonDeployment":
            return _seldon_deployment(platform, key, problems)
        case "Broker":
            url = f"http://broker-ingress.knative-eventing.svc.cluster.local/{namespace}/{name}"
            return of_eventing("; ".join(problems) or broker, url)
        case "Trigger":
            found: Object = of_eventing("; ".join(problems) or broker)
            for one in platform.desired.triggers:
                if one.name == f"{namespace}/{name}":
                    found["subscriberUri"] = one.subscriber
            return found
        case "Service":
            return {"loadBalancer": {}}
        case "Namespace":
            return {"phase": "Active"}
        case _:
            return None


def deployment(
    platform: Controller,
    replicas: int,
    workload: Workload | None,
    problems: tuple[str, ...] = (),
) -> Object:
    """`apps/v1` DeploymentStatus, by the pods that are in traffic."""
    return of_deployment(
        replicas, workload, problems, ready=lambda pod: pod in platform.in_traffic and pod.ready
    )


def observed(found: Object, thing: Object, before: Mapping[str, Any], now: str) -> Object:
    """A status with the generation that it is about, and its conditions with their times."""
    generation = thing["metadata"].get("generation")
    result = {"observedGeneration": generation, **found} if generation is not None else dict(found)
    was = {one.get("type"): one for one in before.get("conditions") or ()}
    if "conditions" in found:
        result["conditions"] = [
            _timed(one, was.get(one["type"]), now) for one in found["conditions"]
        ]
    return result


def _timed(one: Object, before: Mapping[str, Any] | None, now: str) -> Object:
    same = before is not None and before.get("status") == one["status"]
    since = before.get("lastTransitionTime", now) if same and before is not None else now
    return {**one, "lastTransitionTime": since}


def _seldon_deployment(platform: Controller, key: str, problems: tuple[str, ...]) -> Object:
    path = key.partition("/")[2]
    wanted = [one for one in platform.desired.routes if one.deployment == path]
    live = [one for one in platform.routing.routes if one.deployment == path]
    service = wanted[0].backends[0][0] if wanted else ""
    host, _, port = service.rpartition(":")
    return of_seldon_deployment(
        [one for one in platform.running.workloads.values() if one.owner == key],
        routed=bool(wanted) and wanted == live,
        refusal=platform.envoy_error,
        address=f"http://{host}.svc.cluster.local:{port}/api/v1.0/predictions" if host else "",
        problems=problems,
    )


def broker_problem(platform: Controller) -> str:
    """Why the broker does not do yet what is desired, or the empty string."""
    if platform.broker_sync.in_effect:
        return ""
    return platform.broker_sync.error or "the broker has not taken it yet"
