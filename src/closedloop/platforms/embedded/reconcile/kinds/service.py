"""Service: a stable address in front of the pods that a selector matches."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.reconcile.kinds.base import (
    ClusterOnly,
    Fault,
    Manifested,
    Port,
    PortRef,
    Strict,
)


class PortSpec(Strict):
    """One port; `targetPort` is the same number when it is not given."""

    name: str = ""
    port: Port
    target_port: PortRef | None = None
    protocol: Literal["TCP"] = "TCP"
    app_protocol: ClusterOnly = None
    node_port: ClusterOnly = None


class ServiceSpec(Strict):
    """What a Service wants. A node port and a cluster address mean nothing on one machine."""

    selector: dict[str, str] = Field(min_length=1)
    ports: list[PortSpec] = Field(min_length=1)
    type: Literal["ClusterIP", "NodePort"] = "ClusterIP"
    session_affinity: Literal["None"] = "None"
    cluster_ip: ClusterOnly = Field(default=None, alias="clusterIP")
    cluster_ips: ClusterOnly = Field(default=None, alias="clusterIPs")
    ip_families: ClusterOnly = None
    ip_family_policy: ClusterOnly = None
    internal_traffic_policy: ClusterOnly = None


class Service(Manifested):
    """core/v1 Service."""

    api_version: Literal["v1"]
    kind: Literal["Service"]
    spec: ServiceSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        ports = self.spec.ports
        for field in ("name", "port"):
            seen = set()
            for index, port in enumerate(ports):
                value = getattr(port, field)
                if value in seen:
                    yield Fault(("spec", "ports", index, field), f"is {value!r} twice: change one")
                seen.add(value)
