"""The one table of kinds: their names, their verbs, and the fields that matter.

To add a kind, add an entry here; where users write it, also the model of its
fields, in a module beside this one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from closedloop.platforms.embedded.kinds.base import Manifested
from closedloop.platforms.embedded.kinds.core import ConfigMap, Namespace, Secret, Service, unread
from closedloop.platforms.embedded.kinds.eventing import Broker, Trigger
from closedloop.platforms.embedded.kinds.gateway import Gateway
from closedloop.platforms.embedded.kinds.monitoring import PodMonitor, PrometheusRule
from closedloop.platforms.embedded.kinds.pod import Deployment
from closedloop.platforms.embedded.kinds.seldon_deployment import SeldonDeployment
from closedloop.platforms.parts import PARTS

# Verbs of a kind whose objects are written by users, and of one that only controllers write.
WRITABLE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READABLE = ("get", "list", "watch")
_DELETABLE = ("delete", "deletecollection", *READABLE)
# A restart is a patch of the template, also where the object is a controller's.
_PATCHABLE = ("patch", *_DELETABLE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: its names in paths and on the command line, and the verbs for its objects.

    `model` has the fields with an effect here: one that it does not name is
    refused. A kind without a model is written by controllers only. `older` are
    versions of the group under which manifests may name it, too.
    `columns` are additional printer columns as a CRD has them: title and the
    path of the value, `AGE` coming last.
    """

    group: str
    version: str
    kind: str
    plural: str
    short: tuple[str, ...] = ()
    model: type[Manifested] | None = None
    older: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = WRITABLE
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api_versions(self) -> tuple[str, ...]:
        """How a manifest may write its `apiVersion`, the present one first."""
        older = (f"{self.group}/{version}" for version in self.older)
        return (self.api_version, *older)

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def resource(self) -> str:
        """The name by which messages call it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def part(self) -> str:
        """The part that brings the kind; empty for those that every cluster has."""
        return next((name for name, one in PARTS.items() if self.group in one.groups), "")

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
    Kind(
        *("", "v1", "Namespace", "namespaces", ("ns",)),
        model=Namespace,
        namespaced=False,
        subresources=_STATUS,
    ),
    Kind("", "v1", "Node", "nodes", ("no",), namespaced=False, verbs=READABLE),
    Kind("", "v1", "ConfigMap", "configmaps", ("cm",), model=ConfigMap),
    Kind("", "v1", "Secret", "secrets", model=Secret),
    Kind(
        *("", "v1", "Service", "services", ("svc",)),
        model=Service,
        subresources=_STATUS,
        categories=_ALL,
    ),
    Kind(
        *("", "v1", "ServiceAccount", "serviceaccounts", ("sa",)),
        model=unread("automountServiceAccountToken imagePullSecrets secrets"),
    ),
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
        model=Deployment,
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
    Kind(
        *("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", ("pdb",)),
        model=unread("spec"),
    ),
    Kind(
        *("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", ("hpa",)),
        verbs=READABLE,
        categories=_ALL,
    ),
    Kind(
        *("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", ("netpol",)),
        model=unread("spec"),
    ),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", verbs=READABLE),
    Kind(
        *("storage.k8s.io", "v1", "StorageClass", "storageclasses", ("sc",)),
        namespaced=False,
        verbs=READABLE,
    ),
    Kind(_RBAC, "v1", "Role", "roles", model=unread("rules")),
    Kind(_RBAC, "v1", "RoleBinding", "rolebindings", model=unread("roleRef subjects")),
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
        model=Gateway,
        older=("v1beta1",),
        categories=("istio-io", "networking-istio-io"),
    ),
    Kind(
        *("networking.istio.io", "v1", "VirtualService", "virtualservices", ("vs",)),
        verbs=READABLE,
        categories=("istio-io", "networking-istio-io"),
        columns=(("GATEWAYS", ".spec.gateways"), ("HOSTS", ".spec.hosts")),
    ),
    Kind(
        *("networking.istio.io", "v1", "DestinationRule", "destinationrules", ("dr",)),
        verbs=READABLE,
        categories=("istio-io", "networking-istio-io"),
        columns=(("HOST", ".spec.host"),),
    ),
    Kind(
        *("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", ("pmon",)),
        model=PodMonitor,
        categories=("prometheus-operator",),
    ),
    Kind(
        *("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", ("smon",)),
        verbs=READABLE,
        categories=("prometheus-operator",),
    ),
    Kind(
        *("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", ("promrule",)),
        model=PrometheusRule,
        categories=("prometheus-operator",),
    ),
    Kind(
        *("machinelearning.seldon.io", "v1", "SeldonDeployment", "seldondeployments", ("sdep",)),
        model=SeldonDeployment,
        subresources=_STATUS,
    ),
    Kind(
        *("eventing.knative.dev", "v1", "Broker", "brokers"),
        model=Broker,
        subresources=_STATUS,
        categories=("all", "knative", "eventing"),
        columns=(("URL", ".status.address.url"), ("AGE", ""), *_READY),
    ),
    Kind(
        *("eventing.knative.dev", "v1", "Trigger", "triggers"),
        model=Trigger,
        subresources=_STATUS,
        categories=("all", "knative", "eventing"),
        columns=(
            ("BROKER", ".spec.broker"),
            ("SUBSCRIBER_URI", ".status.subscriberUri"),
            ("AGE", ""),
            *_READY,
        ),
    ),
)

BY_NAME: Mapping[str, Kind] = {one.kind: one for one in KINDS}


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
