"""Kinds that guard or place pods in a cluster and have nothing to do on one machine.

They are accepted, so that one folder of manifests serves both platforms, and
their content is not looked at.
"""

from typing import Literal

from closedloop.platforms.embedded.reconcile.kinds.base import ClusterOnly, Manifested


class ServiceAccount(Manifested):
    """core/v1 ServiceAccount: every process runs as the user who started the platform."""

    api_version: Literal["v1"]
    kind: Literal["ServiceAccount"]
    automount_service_account_token: ClusterOnly = None
    image_pull_secrets: ClusterOnly = None
    secrets: ClusterOnly = None


class Role(Manifested):
    """rbac.authorization.k8s.io/v1 Role: there is no API server to be allowed anything."""

    api_version: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["Role"]
    rules: ClusterOnly = None


class RoleBinding(Manifested):
    """rbac.authorization.k8s.io/v1 RoleBinding: there is no API server to be allowed anything."""

    api_version: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["RoleBinding"]
    role_ref: ClusterOnly = None
    subjects: ClusterOnly = None


class NetworkPolicy(Manifested):
    """networking.k8s.io/v1 NetworkPolicy: nothing listens beyond loopback."""

    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]
    spec: ClusterOnly = None


class PodDisruptionBudget(Manifested):
    """policy/v1 PodDisruptionBudget: there are no nodes to drain."""

    api_version: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    spec: ClusterOnly = None
