"""The kinds that the server has: one table."""

from collections.abc import Iterable
from dataclasses import dataclass

# Verbs of a kind whose objects are written by users, and of one that only controllers write.
WRITABLE = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
READABLE = ("get", "list", "watch")
_DELETABLE = ("delete", "deletecollection", *READABLE)
# A restart is a patch of the template, also where the object is a controller's.
_PATCHABLE = ("patch", *_DELETABLE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: how it is named in paths and on the command line, and what may be done to it.

    `part` is the installation that brings the kind; empty for those of every
    cluster. `columns` are additional printer columns as a CRD has them: title
    and the path of the value, `AGE` coming last.
    """

    group: str
    version: str
    kind: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = WRITABLE
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    part: str = ""
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def resource(self) -> str:
        """The name by which messages call it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def is_custom(self) -> bool:
        """Whether a cluster has it by a CustomResourceDefinition."""
        return bool(self.part)


_READY = (
    ("READY", ".status.conditions[?(@.type=='Ready')].status"),
    ("REASON", ".status.conditions[?(@.type=='Ready')].reason"),
)
_STATUS = ("status",)
_SCALED = ("status", "scale")
_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"

KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, subresources=_STATUS),
    Kind("", "v1", "Node", "nodes", ("no",), namespaced=False, verbs=READABLE),
    Kind("", "v1", "ConfigMap", "configmaps", ("cm",)),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "Service", "services", ("svc",), subresources=_STATUS, categories=_ALL),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", ("sa",)),
    Kind(
        *("", "v1", "Pod", "pods", ("po",)),
        verbs=_DELETABLE,
        subresources=("status", "log"),
        categories=_ALL,
    ),
    Kind("", "v1", "Event", "events", ("ev",), verbs=_DELETABLE),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", ("pvc",), verbs=READABLE),
    Kind("", "v1", "Endpoints", "endpoints", ("ep",), verbs=READABLE),
    Kind(
        *("apps", "v1", "Deployment", "deployments", ("deploy",)),
        subresources=_SCALED,
        categories=_ALL,
    ),
    Kind(
        *("apps", "v1", "StatefulSet", "statefulsets", ("sts",)),
        verbs=_PATCHABLE,
        subresources=_SCALED,
        categories=_ALL,
    ),
    Kind("apps", "v1", "DaemonSet", "daemonsets", ("ds",), verbs=READABLE, categories=_ALL),
    Kind(
        *("apps", "v1", "ReplicaSet", "replicasets", ("rs",)),
        verbs=READABLE,
        subresources=_SCALED,
        categories=_ALL,
    ),
    Kind("batch", "v1", "Job", "jobs", verbs=READABLE, categories=_ALL),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", ("pdb",)),
    Kind(
        *("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", ("hpa",)),
        verbs=READABLE,
        categories=_ALL,
    ),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", ("netpol",)),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", verbs=READABLE),
    Kind(
        *("storage.k8s.io", "v1", "StorageClass", "storageclasses", ("sc",)),
        namespaced=False,
        verbs=READABLE,
    ),
    Kind(_RBAC, "v1", "Role", "roles"),
    Kind(_RBAC, "v1", "RoleBinding", "rolebindings"),
    Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False, verbs=READABLE),
    Kind(
        _RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False, verbs=READABLE
    ),
    Kind(
        *("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"),
        ("crd", "crds"),
        namespaced=False,
        verbs=READABLE,
    ),
    Kind(
        *("networking.istio.io", "v1", "Gateway", "gateways", ("gw",)),
        categories=("istio-io", "networking-istio-io"),
        part="istio",
    ),
    Kind(
        *("networking.istio.io", "v1", "VirtualService", "virtualservices", ("vs",)),
        verbs=READABLE,
        categories=("istio-io", "networking-istio-io"),
        part="istio",
        columns=(("GATEWAYS", ".spec.gateways"), ("HOSTS", ".spec.hosts")),
    ),
    Kind(
        *("networking.istio.io", "v1", "DestinationRule", "destinationrules", ("dr",)),
        verbs=READABLE,
        categories=("istio-io", "networking-istio-io"),
        part="istio",
        columns=(("HOST", ".spec.host"),),
    ),
    Kind(
        *("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", ("pmon",)),
        categories=("prometheus-operator",),
        part="monitoring",
    ),
    Kind(
        *("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", ("smon",)),
        verbs=READABLE,
        categories=("prometheus-operator",),
        part="monitoring",
    ),
    Kind(
        *("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", ("promrule",)),
        categories=("prometheus-operator",),
        part="monitoring",
    ),
    Kind(
        *("machinelearning.seldon.io", "v1", "SeldonDeployment", "seldondeployments", ("sdep",)),
        subresources=_SCALED,
        categories=_ALL,
        part="seldon-core",
    ),
    Kind(
        *("eventing.knative.dev", "v1", "Broker", "brokers"),
        subresources=_STATUS,
        categories=("all", "knative", "eventing"),
        part="knative-eventing",
        columns=(("URL", ".status.address.url"), ("AGE", ""), *_READY),
    ),
    Kind(
        *("eventing.knative.dev", "v1", "Trigger", "triggers"),
        subresources=_STATUS,
        categories=("all", "knative", "eventing"),
        part="knative-eventing",
        columns=(
            ("BROKER", ".spec.broker"),
            ("SUBSCRIBER_URI", ".status.subscriberUri"),
            ("AGE", ""),
            *_READY,
        ),
    ),
)

BY_NAME = {one.kind: one for one in KINDS}


def of(kind: str) -> Kind:
    """The kind of this name. Raises KeyError."""
    return BY_NAME[kind]


def find(group: str, version: str, plural: str, installed: Iterable[str]) -> Kind | None:
    """The kind under a path, if the server has it now."""
    for one in available(installed):
        if (one.group, one.version, one.plural) == (group, version, plural):
            return one
    return None


def available(installed: Iterable[str]) -> list[Kind]:
    """The kinds of the server when these parts are installed."""
    parts = set(installed)
    return [one for one in KINDS if not one.part or one.part in parts]
