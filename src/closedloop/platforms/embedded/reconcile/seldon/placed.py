"""A predictor in its place: with the names, ports and labels that the operator gives it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from closedloop import seldon as names
from closedloop.platforms.embedded.kinds.pod import Container
from closedloop.platforms.embedded.kinds.seldon_deployment import (
    ComponentSpec,
    Graph,
    Predictor,
    SeldonDeployment,
)
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind
from closedloop.validation import Path

EXECUTOR = 8000

_FIRST_HTTP, _FIRST_GRPC, _FIRST_METRICS = 9000, 9500, 6000


@dataclass(frozen=True, slots=True)
class ModelPorts:
    """Ports of one predictor's model container."""

    http: int
    grpc: int
    metrics: int


def model_ports(predictors: Sequence[Predictor]) -> list[ModelPorts]:
    """The ports that the operator hands out (`defaults.go`), in the order of the predictors.

    HTTP and gRPC ports go by container name over all predictors, so the same name
    gets the same port; the metrics port is a new one for every container, unless
    the container names one itself.
    """
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


@dataclass(frozen=True, slots=True)
class Placed:
    """One predictor of a SeldonDeployment."""

    sdep: SeldonDeployment
    index: int
    predictor: Predictor
    ports: ModelPorts

    @property
    def path(self) -> Path:
        """The predictor's field in the manifest."""
        return ("spec", "predictors", self.index)

    @property
    def namespace(self) -> str:
        return self.sdep.namespace

    @property
    def name(self) -> str:
        """The SeldonDeployment's name."""
        return self.sdep.name

    @property
    def graph(self) -> Graph:
        return self.predictor.graph

    @property
    def component(self) -> ComponentSpec | None:
        return self.predictor.component_specs[0] if self.predictor.component_specs else None

    @property
    def container(self) -> Container:
        """The node's container, empty when a prepackaged server gives none."""
        return node_container(self.predictor) or Container(name=self.graph.name)

    @property
    def deployment(self) -> str:
        named = self.component.metadata.name if self.component else ""
        return names.deployment(self.name, self.predictor.name, [self.graph.name], named)

    @property
    def service(self) -> str:
        """The Service in front of the executor."""
        own = self.predictor.annotations.get(names.SERVICE_NAME)
        return names.predictor_service(self.name, self.predictor.name, own)

    @property
    def container_service(self) -> str:
        """The Service in front of the model."""
        return names.container_service(self.name, self.predictor.name, self.graph.name)

    @property
    def container_label(self) -> str:
        """The label by which the model's Service selects."""
        return names.container_label(self.graph.name)

    @property
    def predictor_labels(self) -> dict[str, str]:
        """The manifest's labels, with the version that the operator adds."""
        return {"version": self.predictor.name} | self.predictor.labels

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the pods."""
        shadow = {names.SHADOW: "true"} if self.predictor.shadow else {}
        own = self.component.metadata.labels if self.component else {}
        return {
            names.DEPLOYMENT_ID: names.deployment_id(self.name),
            "app": self.deployment,
            "fluentd": "true",
            **self.predictor_labels,
            **own,
            **shadow,
            self.container_label: self.container_service,
            "seldon.io/model": "true",
            "app.kubernetes.io/managed-by": "seldon-core",
            names.APP: self.service,
        }

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of the pods."""
        own = self.component.metadata.annotations if self.component else {}
        return {
            "prometheus.io/scrape": "true",
            "prometheus.io/path": "/prometheus",
            **self.sdep.spec.annotations,
            **self.predictor.annotations,
            **own,
        }

    @property
    def replicas(self) -> int:
        """The most particular number that the manifest gives."""
        own = self.component.replicas if self.component else None
        for replicas in (own, self.predictor.replicas, self.sdep.spec.replicas):
            if replicas is not None:
                return replicas
        return 1


def placed(context: Context) -> Iterator[Placed]:
    """The predictors of all SeldonDeployments."""
    for sdep in of_kind(context.objects, SeldonDeployment):
        ports = model_ports(sdep.spec.predictors)
        for index, predictor in enumerate(sdep.spec.predictors):
            yield Placed(sdep, index, predictor, ports[index])
