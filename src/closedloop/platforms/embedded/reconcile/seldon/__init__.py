"""SeldonDeployments: pods, Services and the route, as Seldon's operator makes them.

Sources: `seldondeployment_controller.go`, `seldondeployment_engine.go`,
`seldondeployment_prepackaged_servers.go` and `defaults.go` of the operator,
tag v1.17.1. Left out are gRPC and MLServer, which nothing here speaks.
"""

from closedloop.platforms.embedded.reconcile.seldon.network import routes, service_ports
from closedloop.platforms.embedded.reconcile.seldon.pods import pods

__all__ = ["pods", "routes", "service_ports"]
