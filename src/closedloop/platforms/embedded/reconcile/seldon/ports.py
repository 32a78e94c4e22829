"""The ports that Seldon's operator hands out (`defaults.go`, tag v1.17.1).

HTTP and gRPC ports go by container name over all predictors, so the same name
gets the same port; the metrics port is a new one for every container, unless
the container names one itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from closedloop.platforms.embedded.kinds.pod import Container
from closedloop.platforms.embedded.kinds.seldon_deployment import Predictor

EXECUTOR = 8000

_FIRST_HTTP, _FIRST_GRPC, _FIRST_METRICS = 9000, 9500, 6000


@dataclass(frozen=True, slots=True)
class ModelPorts:
    """Ports of one predictor's model container."""

    http: int
    grpc: int
    metrics: int


def model_ports(predictors: Sequence[Predictor]) -> list[ModelPorts]:
    """The ports of each predictor's model, in the order of the predictors."""
    order: dict[str, int] = {}
    metrics = _FIRST_METRICS
    result = []
    for predictor in predictors:
        position = order.setdefault(predictor.graph.name, len(order))
        own = _own_ports(node_container(predictor))
        if "metrics" in own:
            metrics_port = own["metrics"]
        else:
            metrics_port, metrics = metrics, metrics + 1
        result.append(
            ModelPorts(
                http=own.get("http", _FIRST_HTTP + position),
                grpc=own.get("grpc", _FIRST_GRPC + position),
                metrics=metrics_port,
            )
        )
    return result


def node_container(predictor: Predictor) -> Container | None:
    """The container that a manifest gives for the graph's node; a prepackaged one needs none."""
    for spec in predictor.component_specs:
        for container in spec.spec.containers:
            if container.name == predictor.graph.name:
                return container
    return None


def _own_ports(container: Container | None) -> dict[str, int]:
    if container is None:
        return {}
    return {port.name: port.container_port for port in container.ports if port.name}
