"""Services: one entry for each port."""

from collections.abc import Iterator

from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.kinds.core import Service
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind


def service_ports(context: Context) -> Iterator[ServicePort]:
    """The ports of all Services in manifests."""
    for service in of_kind(context.objects, Service):
        for port in service.spec.ports:
            target = port.target_port
            yield ServicePort(
                namespace=service.namespace,
                service=service.name,
                name=port.name,
                port=port.port,
                target=target if isinstance(target, (int, str)) else port.port,
                selector=service.spec.selector,
            )
