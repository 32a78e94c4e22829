"""SeldonDeployment: predictors with one model each, behind one route.

The rules are those of the operator's own webhook (`seldondeployment_webhook.go`,
tag v1.17.1), so that a manifest accepted here is accepted by a cluster; what a
cluster can do beyond that, such as graphs of several nodes, is refused.
"""

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from closedloop.platforms.embedded.kinds.base import (
    Fault,
    Manifested,
    Strict,
    annotation_faults,
)
from closedloop.platforms.embedded.kinds.pod import Container, EnvVar, PodSpec, pod_faults
from closedloop.seldon import SERVICE_NAME
from closedloop.validation import Path

# Settings of the executor.
REST_TIMEOUT = "seldon.io/rest-timeout"
QUEUE_SIZE = "seldon.io/executor-logger-queue-size"
WRITE_TIMEOUT = "seldon.io/executor-logger-write-timeout-ms"
SAME_MODELS = "closedloop.dev/same-models-since"  # a promotion's note
# The gateway here and the executors are on one machine: a connection does not break on the way.
_RETRIES = ("seldon.io/istio-retries", "seldon.io/istio-retries-timeout")

_NUMERIC = (QUEUE_SIZE, WRITE_TIMEOUT, REST_TIMEOUT)
# A prepackaged server from an image of ours: Seldon's, with the packages of our models.
OWN_SERVER_IMAGE = "closedloop/iris"
OWN_SERVER = (
    "python",
    "-m",
    "closedloop.models.serve",
    "closedloop.models.sklearn_server.SKLearnServer",
)
# Variables of the executor that a manifest may set.
_EXECUTOR_ENV = ("LOG_LEVEL", "REQUEST_LOGGER_DEFAULT_ENDPOINT")


class Parameter(Strict):
    """A keyword argument of the model's class."""

    name: str
    value: str
    type: Literal["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"]


class Logger(Strict):
    """The calls of a node that are sent as events, and where to."""

    mode: Literal["all", "request", "response"]
    url: str | None = None


class Graph(Strict, cluster_only="serviceAccountName envSecretRefName storageInitializerImage"):
    """One model."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    type: Literal["MODEL"] = "MODEL"
    implementation: Literal["SKLEARN_SERVER", "UNKNOWN_IMPLEMENTATION"] = "UNKNOWN_IMPLEMENTATION"
    model_uri: str = ""
    parameters: list[Parameter] = Field(default=[])
    logger: Logger | None = None
    children: list[object] = Field(default=[], max_length=0)

    @property
    def prepackaged(self) -> bool:
        return self.implementation == "SKLEARN_SERVER"


class ComponentMetadata(Strict, cluster_only="creationTimestamp"):
    """Labels of the pods beside those of the operator, and a name in place of the containers'."""

    name: str = ""
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class Initializer(
    Strict,
    cluster_only=(
        "image imagePullPolicy command args env envFrom resources securityContext volumeMounts"
    ),
):
    """The init container that brings a model in a cluster; here the models are in a folder."""

    name: str


class ComponentPodSpec(PodSpec):
    """The pod of a predictor."""

    init_containers: list[Initializer] = Field(default=[], max_length=1)


class ComponentSpec(Strict):
    """The container of the graph's node."""

    metadata: ComponentMetadata = ComponentMetadata()
    spec: ComponentPodSpec
    replicas: int | None = Field(default=None, ge=0)


class ServiceOrchestrator(Strict, cluster_only="resources"):
    """Settings of the executor."""

    env: list[EnvVar] = Field(default=[])


class Predictor(Strict, cluster_only="engineResources progressDeadlineSeconds"):
    """A version of the model: served, with a share of the traffic, or mirrored to."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    graph: Graph
    component_specs: list[ComponentSpec] = Field(default=[], max_length=1)
    replicas: int | None = Field(default=None, ge=0)
    traffic: int = Field(default=0, ge=0, le=100)
    shadow: bool = False
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})
    svc_orch_spec: ServiceOrchestrator = ServiceOrchestrator()


class SeldonDeploymentSpec(Strict, cluster_only="name"):
    """The spec of a SeldonDeployment."""

    predictors: list[Predictor] = Field(min_length=1)
    annotations: dict[str, str] = Field(default={})
    protocol: Literal["seldon"] = "seldon"
    transport: Literal["rest"] = "rest"
    server_type: Literal["rpc"] = "rpc"
    replicas: int | None = Field(default=None, ge=0)


class SeldonDeployment(Manifested):
    """Predictors with one model each, behind one route."""

    annotations: ClassVar = dict.fromkeys((*_RETRIES, SAME_MODELS))

    spec: SeldonDeploymentSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        known = dict.fromkeys((*_NUMERIC, *_RETRIES))
        yield from annotation_faults(self.spec.annotations, known, ("spec", "annotations"))
        for name in _NUMERIC:
            value = self.spec.annotations.get(name, "0")
            if not value.isdecimal():
                yield Fault(("spec", "annotations", name), f"is {value!r}: must be a number")
        yield from _traffic_faults(self.spec.predictors)
        for index, predictor in enumerate(self.spec.predictors):
            yield from _predictor_faults(predictor, ("spec", "predictors", index))


def _traffic_faults(predictors: list[Predictor]) -> Iterator[Fault]:
    path = ("spec", "predictors")
    names = Counter(predictor.name for predictor in predictors)
    services = Counter(
        predictor.annotations[SERVICE_NAME]
        for predictor in predictors
        if SERVICE_NAME in predictor.annotations
    )
    for index, predictor in enumerate(predictors):
        if names[predictor.name] > 1:
            yield Fault((*path, index, "name"), f"is {predictor.name!r}: Duplicate predictor name")
        service = predictor.annotations.get(SERVICE_NAME)
        if service is not None and services[service] > 1:
            yield Fault(
                (*path, index, "annotations", SERVICE_NAME),
                f"is {service!r}: Duplicate service name",
            )
    shadows = [index for index, predictor in enumerate(predictors) if predictor.shadow]
    served = [predictor for predictor in predictors if not predictor.shadow]
    for index in shadows[1:]:
        yield Fault((*path, index, "shadow"), "is true: Multiple shadows are not allowed")
    if not served:
        yield Fault((*path, 0, "shadow"), "is true: Shadow can not exist as only predictor")
    total = sum(predictor.traffic for predictor in served)
    if len(served) > 1 and total != 100:
        yield Fault(path, f"have traffic {total}: Traffic must sum to 100 for multiple predictors")
    if len(predictors) == 1 and served and 0 < total < 100:
        yield Fault(
            (*path, 0, "traffic"),
            f"is {total}: Traffic must sum be 100 for a single predictor when set",
        )


def _predictor_faults(predictor: Predictor, at: Path) -> Iterator[Fault]:
    yield from annotation_faults(predictor.annotations, {SERVICE_NAME: None}, (*at, "annotations"))
    graph = predictor.graph
    containers = [
        container for spec in predictor.component_specs for container in spec.spec.containers
    ]
    named = next((container for container in containers if container.name == graph.name), None)
    if graph.prepackaged:
        if not graph.model_uri:
            yield Fault(
                (*at, "graph", "modelUri"),
                "is missing: Predictive unit modelUri required when using standalone servers",
            )
        if named is not None and not _runs_as_here(named):
            yield Fault(
                (*at, "componentSpecs", 0, "spec", "containers"),
                f"say how SKLEARN_SERVER runs: only {OWN_SERVER_IMAGE} with the command"
                f" {' '.join(OWN_SERVER)} is supported, or none of them",
            )
    else:
        if named is None:
            yield Fault(
                (*at, "graph", "name"),
                f"is {graph.name!r}: Can't find container for Predictive Unit",
            )
        elif not named.image:
            yield Fault(
                (*at, "componentSpecs", 0, "spec", "containers"),
                f"has no image for {graph.name!r}: add it",
            )
        if graph.model_uri:
            yield Fault(
                (*at, "graph", "modelUri"),
                "is supported with implementation SKLEARN_SERVER only: an own image brings its"
                " model",
            )
    for index, variable in enumerate(predictor.svc_orch_spec.env):
        if variable.name not in _EXECUTOR_ENV:
            yield Fault(
                (*at, "svcOrchSpec", "env", index, "name"),
                f"is {variable.name!r}: only {', '.join(_EXECUTOR_ENV)} are supported here",
            )
    for index, spec in enumerate(predictor.component_specs):
        path = (*at, "componentSpecs", index, "spec")
        yield from pod_faults(spec.spec, path)
        for i, initializer in enumerate(spec.spec.init_containers):
            # The operator takes one of this name for its own, which fetches modelUri.
            wanted = f"{graph.name}-model-initializer"
            if initializer.name != wanted or not graph.prepackaged:
                yield Fault(
                    (*path, "initContainers", i, "name"),
                    f"is {initializer.name!r}: only {wanted} of a prepackaged server is supported",
                )
        for i, container in enumerate(spec.spec.containers):
            place = (*path, "containers", i)
            if named is not None and container is not named:
                yield Fault(
                    (*place, "name"),
                    f"is {container.name!r}: only the container of the graph's node is supported",
                )
            elif not graph.prepackaged and (container.command or container.args):
                yield Fault(place, "has command or args: a model image is run as the wrapper runs")


def _runs_as_here(container: Container) -> bool:
    """Whether a prepackaged server's container says nothing of how it runs, or what we do."""
    given = (container.image.partition(":")[0], (*container.command, *container.args))
    return given in {("", ()), (OWN_SERVER_IMAGE, OWN_SERVER)}
