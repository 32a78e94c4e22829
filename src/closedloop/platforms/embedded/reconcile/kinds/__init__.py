"""The kinds that this platform understands, one module each."""

from collections.abc import Mapping

from closedloop.platforms.embedded.reconcile.kinds import cluster_only
from closedloop.platforms.embedded.reconcile.kinds.base import Manifested
from closedloop.platforms.embedded.reconcile.kinds.broker import Broker
from closedloop.platforms.embedded.reconcile.kinds.config import ConfigMap, Secret
from closedloop.platforms.embedded.reconcile.kinds.deployment import Deployment
from closedloop.platforms.embedded.reconcile.kinds.gateway import Gateway
from closedloop.platforms.embedded.reconcile.kinds.namespace import Namespace
from closedloop.platforms.embedded.reconcile.kinds.pod_monitor import PodMonitor
from closedloop.platforms.embedded.reconcile.kinds.prometheus_rule import PrometheusRule
from closedloop.platforms.embedded.reconcile.kinds.seldon_deployment import SeldonDeployment
from closedloop.platforms.embedded.reconcile.kinds.service import Service
from closedloop.platforms.embedded.reconcile.kinds.trigger import Trigger

KINDS: Mapping[str, type[Manifested]] = {
    kind.__name__: kind
    for kind in (
        Namespace,
        Gateway,
        Broker,
        Trigger,
        Deployment,
        Service,
        ConfigMap,
        Secret,
        SeldonDeployment,
        PodMonitor,
        PrometheusRule,
        cluster_only.ServiceAccount,
        cluster_only.Role,
        cluster_only.RoleBinding,
        cluster_only.NetworkPolicy,
        cluster_only.PodDisruptionBudget,
    )
}
