"""Kinds that guard or place pods in a cluster and have nothing to do on one machine.

They are accepted, so that one folder of manifests serves both platforms, and
their content is not looked at. Everything here listens on loopback only, runs
as the one user who started it and is restarted when it dies; that is what these
kinds are for in a cluster.
"""

from typing import Literal

from closedloop.platforms.embedded.reconcile.kinds.base import ClusterOnly, Manifested

KINDS = {
    "ServiceAccount": "every process runs as the user who started the platform",
    "Role": "there is no API server to be allowed anything",
    "RoleBinding": "there is no API server to be allowed anything",
    "NetworkPolicy": "nothing listens beyond loopback",
    "PodDisruptionBudget": "there are no nodes to drain",
}


class ServiceAccount(Manifested):
    """core/v1 ServiceAccount."""

    api_version: Literal["v1"]
    kind: Literal["ServiceAccount"]
    automount_service_account_token: ClusterOnly = None
    image_pull_secrets: ClusterOnly = None
    secrets: ClusterOnly = None


class Role(Manifested):
    """rbac.authorization.k8s.io/v1 Role."""

    api_version: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["Role"]
    rules: ClusterOnly = None


class RoleBinding(Manifested):
    """rbac.authorization.k8s.io/v1 RoleBinding."""

    api_version: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["RoleBinding"]
    role_ref: ClusterOnly = None
    subjects: ClusterOnly = None


class NetworkPolicy(Manifested):
    """networking.k8s.io/v1 NetworkPolicy."""

    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]
    spec: ClusterOnly = None


class PodDisruptionBudget(Manifested):
    """policy/v1 PodDisruptionBudget."""

    api_version: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    spec: ClusterOnly = None
