"""The status that controllers write into the objects of users."""

from collections.abc import Mapping
from typing import Any

from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.desired import prefix_of
from closedloop.platforms.embedded.run.workload import Workload
from closedloop.platforms.embedded.server.mirror import status
from closedloop.platforms.embedded.server.store import Object


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
            return status.of_eventing("; ".join(problems) or broker, url)
        case "Trigger":
            found: Object = status.of_eventing("; ".join(problems) or broker)
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
    return status.of_deployment(
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
    at = prefix_of(key.partition("/")[2])
    wanted = [one for one in platform.desired.routes if one.prefix == at]
    live = [one for one in platform.routing.routes if one.prefix == at]
    service = wanted[0].backends[0][0] if wanted else ""
    host, _, port = service.rpartition(":")
    return status.of_seldon_deployment(
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
