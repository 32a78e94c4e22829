"""The parts of a platform: one entry for each thing that is installed.

Versions, charts and packages are in `manifests/versions.yaml` under the same names;
everything else that either platform has to know of a part is here. The order is
that of installation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from closedloop.platforms.protocol import PlatformError

# Services that commands and the live page talk to, as `Platform.url` names them.
GATEWAY = "istio-system/istio-ingressgateway"
LOG = "seldon-logs/elasticsearch"
PROMETHEUS = "monitoring/monitoring-kube-prometheus-prometheus"


@dataclass(frozen=True, slots=True)
class Login:
    """A Secret beside a Service that asks for a password, and the Secret's keys of both."""

    secret: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet of a part, on whichever platform has it.

    `release` is the chart's release that makes it: its installation is done when
    the workload is ready, within `timeout` seconds. `aliases` are the names by
    which `logs` and `restart` know it besides `namespace/name`; `service` is the
    Service in front of it, in its namespace. A workload that `holds_certificate`
    is restarted after an upgrade of its release. By the Service of the one that
    `is_sign` an account without rights to install sees that the part is there.
    """

    kind: str
    namespace: str
    name: str
    aliases: tuple[str, ...] = ()
    service: str = ""
    login: Login | None = None
    release: str = ""
    timeout: float = 300.0
    holds_certificate: bool = False
    is_sign: bool = False

    @property
    def path(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to install.

    `groups` are the API groups whose kinds come with it. `before` is applied
    before its charts, `manifests` instead of one; `files` says what upstream's
    files are called. `definitions` are those to wait for, by release.
    """

    name: str
    workloads: tuple[Workload, ...]
    groups: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    definitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that it puts something into."""
        return tuple(dict.fromkeys(one.namespace for one in self.workloads))


_PROMETHEUS = "monitoring-kube-prometheus"
_KNATIVE = "knative-eventing"

_TABLE = (
    Part(
        "istio",
        groups=("networking.istio.io",),
        workloads=(
            Workload("Deployment", "istio-system", "istiod", release="istiod"),
            Workload(
                "Deployment",
                "istio-system",
                "istio-ingressgateway",
                aliases=("envoy", "gateway"),
                service="istio-ingressgateway",
                is_sign=True,
                release="istio-ingressgateway",
            ),
        ),
    ),
    Part(
        "monitoring",
        groups=("monitoring.coreos.com",),
        before=("grafana/credentials.yaml",),  # the password that Grafana reads
        workloads=(
            Workload("Deployment", "monitoring", f"{_PROMETHEUS}-operator", release="monitoring"),
            Workload(
                "Deployment",
                "monitoring",
                "monitoring-grafana",
                aliases=("grafana",),
                service="monitoring-grafana",
                release="monitoring",
            ),
            Workload(
                "StatefulSet",
                "monitoring",
                f"prometheus-{_PROMETHEUS}-prometheus",
                aliases=("prometheus",),
                service=f"{_PROMETHEUS}-prometheus",
                is_sign=True,
                release="monitoring",
            ),
            Workload(
                "StatefulSet",
                "monitoring",
                f"alertmanager-{_PROMETHEUS}-alertmanager",
                aliases=("alertmanager",),
                service=f"{_PROMETHEUS}-alertmanager",
                release="monitoring",
            ),
        ),
    ),
    Part(
        "seldon-core",
        groups=("machinelearning.seldon.io",),
        definitions={"seldon-core": ("seldondeployments.machinelearning.seldon.io",)},
        workloads=(
            Workload(
                "Deployment",
                "seldon-system",
                "seldon-controller-manager",
                release="seldon-core",
                holds_certificate=True,
            ),
        ),
    ),
    Part(
        "knative-eventing",
        groups=("eventing.knative.dev",),
        files={
            "eventing-crds.yaml": "Knative CRDs",
            "eventing-core.yaml": "Knative core",
            "in-memory-channel.yaml": "in-memory channel",
            "mt-channel-broker.yaml": "broker",
        },
        workloads=(
            Workload(
                "Deployment",
                _KNATIVE,
                "mt-broker-ingress",
                aliases=("broker",),
                service="broker-ingress",
                is_sign=True,
            ),
            Workload("Deployment", _KNATIVE, "mt-broker-filter", aliases=("broker",)),
            Workload("Deployment", _KNATIVE, "mt-broker-controller"),
            Workload("Deployment", _KNATIVE, "imc-dispatcher"),
            Workload("Deployment", _KNATIVE, "imc-controller"),
            Workload("Deployment", _KNATIVE, "eventing-controller"),
            Workload("Deployment", _KNATIVE, "eventing-webhook"),
            Workload("StatefulSet", _KNATIVE, "nats", aliases=("nats",)),  # embedded only
        ),
    ),
    Part(
        "elasticsearch",
        manifests=("elasticsearch",),
        workloads=(
            Workload(
                "StatefulSet",
                "seldon-logs",
                "elasticsearch",
                service="elasticsearch",
                is_sign=True,
                login=Login("elasticsearch-credentials", "username", "password"),
                timeout=600.0,
            ),
        ),
    ),
)

# By name, in the order of installation.
PARTS: Mapping[str, Part] = {one.name: one for one in _TABLE}
WORKLOADS: Mapping[str, Workload] = {one.path: one for part in _TABLE for one in part.workloads}


def demand(name: str) -> Part:
    """The part of this name. Raises `PlatformError`."""
    if name not in PARTS:
        raise PlatformError(f"there is no part {name!r}: name one of {', '.join(PARTS)}")
    return PARTS[name]


def named(name: str) -> tuple[Workload, ...]:
    """The workloads that a part's name, an alias or `namespace/name` stands for; none for another.

    A part stands for all of its workloads.
    """
    if name in PARTS:
        return PARTS[name].workloads
    return tuple(one for one in WORKLOADS.values() if name == one.path or name in one.aliases)


def behind(service: str) -> Workload | None:
    """The workload that Service `namespace/name` leads to, if a part brings it."""
    return next(
        (one for one in WORKLOADS.values() if f"{one.namespace}/{one.service}" == service), None
    )
