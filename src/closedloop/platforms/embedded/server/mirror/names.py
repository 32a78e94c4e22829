"""How what runs here is called on a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass

from closedloop.platforms.embedded.run.part import Part
from closedloop.platforms.embedded.run.pods import LivePod


@dataclass(frozen=True, slots=True)
class PartWorkload:
    """The workload that a part is on a cluster."""

    kind: str
    name: str


# Where a cluster has the part, by the names that its chart or release gives.
PARTS: Mapping[str, PartWorkload] = {
    "envoy": PartWorkload("Deployment", "istio-ingressgateway"),
    "elasticsearch": PartWorkload("StatefulSet", "elasticsearch"),
    "prometheus": PartWorkload("StatefulSet", "prometheus-monitoring-kube-prometheus-prometheus"),
    "alertmanager": PartWorkload(
        "StatefulSet", "alertmanager-monitoring-kube-prometheus-alertmanager"
    ),
    "broker": PartWorkload("Deployment", "mt-broker-ingress"),
    "nats": PartWorkload("StatefulSet", "nats"),
}
# Namespaces that an installation makes, by part; the first is that of its workloads.
NAMESPACES: Mapping[str, tuple[str, ...]] = {
    "istio": ("istio-system",),
    "monitoring": ("monitoring",),
    "seldon-core": ("seldon-system",),
    "knative-eventing": ("knative-eventing",),
    "elasticsearch": ("seldon-logs",),
}


def of_part(part: Part) -> PartWorkload:
    """The workload that a part is; a Deployment of its own name where a cluster has none."""
    return PARTS.get(part.name, PartWorkload("Deployment", part.name))


def pod_of_part(part: Part, pod: LivePod) -> str:
    """The name of a part's only pod."""
    workload = of_part(part)
    if workload.kind == "StatefulSet":
        return f"{workload.name}-0"
    return f"{workload.name}-{revision_of_part(part)}-{pod.uid[:5]}"


def revision_of_part(part: Part) -> str:
    """A part is replaced by none of another revision while the platform is up."""
    return "".join(letter for letter in part.version.lower() if letter.isalnum())[-10:] or "0"


def replica_set(deployment: str, revision: str) -> str:
    return f"{deployment}-{revision[:8]}"
