"""The install plan: what is done for each part, in order, and when it is done.

Read from top to bottom it is what a person would do by hand; `Step.by_hand`
has the command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from closedloop.platforms.cluster import helm
from closedloop.platforms.cluster.versions import Chart, Versions
from closedloop.platforms.protocol import PARTS, PlatformError


@dataclass(frozen=True, slots=True)
class Ready:
    """A condition of an object, and the seconds that it may take."""

    kind: str
    name: str
    namespace: str
    condition: str = "Available"
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to install: a chart, an upstream manifest, or manifests of ours.

    An upstream manifest is ready when its definitions are established and its
    workloads rolled out; `ready` is what to wait for besides.
    """

    part: str
    name: str
    version: str
    by_hand: str
    chart: Chart | None = None
    url: str = ""
    manifests: tuple[str, ...] = ()
    ready: tuple[Ready, ...] = ()
    # A Deployment to restart when its release was upgraded: it holds the old certificate.
    restart: str = ""


# Readiness of what the charts install, helm's own waiting aside: objects that operators make.
_READY: Mapping[str, tuple[Ready, ...]] = {
    "istio-base": (),
    "istiod": (Ready("Deployment", "istiod", "istio-system"),),
    "istio-ingressgateway": (Ready("Deployment", "istio-ingressgateway", "istio-system"),),
    "monitoring": (
        Ready("Deployment", "monitoring-kube-prometheus-operator", "monitoring"),
        Ready("Deployment", "monitoring-grafana", "monitoring"),
        Ready("StatefulSet", "prometheus-monitoring-kube-prometheus-prometheus", "monitoring"),
        Ready("StatefulSet", "alertmanager-monitoring-kube-prometheus-alertmanager", "monitoring"),
    ),
    "seldon-core": (
        Ready("Deployment", "seldon-controller-manager", "seldon-system"),
        Ready(
            "CustomResourceDefinition",
            "seldondeployments.machinelearning.seldon.io",
            "",
            "Established",
        ),
    ),
}
# What has to be there before a part's charts: the password that Grafana reads.
_BEFORE: Mapping[str, tuple[str, ...]] = {"monitoring": ("grafana/credentials.yaml",)}
_RESTART = {"seldon-core": "seldon-system/seldon-controller-manager"}
_KNATIVE = {
    "eventing-crds.yaml": "Knative CRDs",
    "eventing-core.yaml": "Knative core",
    "in-memory-channel.yaml": "in-memory channel",
    "mt-channel-broker.yaml": "broker",
}
_ELASTICSEARCH = Ready("StatefulSet", "elasticsearch", "seldon-logs", "Ready", timeout=600.0)


def steps(versions: Versions, part: str) -> tuple[Step, ...]:
    """The steps of one of `PARTS`, or of our own images' cluster. Raises `PlatformError`."""
    if part not in PARTS:
        raise PlatformError(f"there is no part {part!r}: name one of {', '.join(PARTS)}")
    if part not in versions.parts:
        raise PlatformError(f"versions.yaml has no cluster entry for {part}: add it")
    own = versions.parts[part]
    planned = [
        Step(part, file, own.version, f"kubectl apply -f manifests/{file}", manifests=(file,))
        for file in _BEFORE.get(part, ())
    ]
    planned += [
        Step(
            part,
            chart.release,
            chart.version,
            helm.by_hand(chart),
            chart=chart,
            ready=_READY.get(chart.release, ()),
            restart=_RESTART.get(chart.release, ""),
        )
        for chart in own.charts
    ]
    planned += [
        Step(
            part,
            _KNATIVE.get(file, file),
            own.version,
            f"kubectl apply --server-side -f {url}",
            url=url,
        )
        for file, url in zip(own.files, own.urls(), strict=True)
    ]
    if own.image:
        planned.append(
            Step(
                part,
                part,
                own.version,
                f"kubectl apply -f manifests/{part}",
                manifests=(part,),
                ready=(_ELASTICSEARCH,),
            )
        )
    return tuple(planned)


def namespaces(versions: Versions, part: str) -> Sequence[str]:
    """The namespaces that a part's steps put something into."""
    own = versions.parts[part]
    named = [own.namespace, *(chart.namespace for chart in own.charts)]
    return list(dict.fromkeys(name for name in named if name))
