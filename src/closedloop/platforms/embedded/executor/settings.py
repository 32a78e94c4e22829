"""What one executor is told: its predictor, its model, where events go.

All of it comes from the environment. `PREDICTOR` is the predictor's JSON as in
the SeldonDeployment, with the container of the graph node in it, as the
operator adds it; `ANNOTATIONS` is the JSON of the pod's annotations.
"""

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from closedloop.services.kit import service

REST_TIMEOUT = "seldon.io/rest-timeout"
QUEUE_SIZE = "seldon.io/executor-logger-queue-size"
WRITE_TIMEOUT = "seldon.io/executor-logger-write-timeout-ms"


class ConfigurationError(Exception):
    """The environment does not describe an executor; one sentence says what to change."""


class Logger(BaseModel):
    mode: Literal["request", "response", "all"]
    url: str | None = None

    @property
    def requests(self) -> bool:
        return self.mode in ("request", "all")

    @property
    def responses(self) -> bool:
        """Answers, and feedback with them."""
        return self.mode in ("response", "all")


class Node(BaseModel):
    """The graph: one MODEL node. A node without a type is one, as for the operator."""

    name: str
    type: Literal["MODEL"] = "MODEL"
    logger: Logger | None = None
    children: list[object] = Field(default=[], max_length=0)


class _Container(BaseModel):
    name: str
    image: str = ""


class _PodSpec(BaseModel):
    containers: list[_Container] = []


class _ComponentSpec(BaseModel):
    spec: _PodSpec = _PodSpec()


class Predictor(BaseModel):
    """The part of a predictor that matters to its executor; the rest is not looked at."""

    name: str
    graph: Node
    annotations: dict[str, str] = {}
    component_specs: list[_ComponentSpec] = Field(default=[], alias="componentSpecs")

    @property
    def version(self) -> str:
        """The predictor's annotation `version`: the executor's metrics do not read the label."""
        return self.annotations.get("version", "")

    @property
    def image(self) -> tuple[str, str]:
        """Name and version of the model's image, split as Seldon splits it.

        The version is "" unless there is exactly one colon, so a registry with
        a port loses it, there and here.
        """
        for component in self.component_specs:
            for container in component.spec.containers:
                if container.name == self.graph.name:
                    parts = container.image.split(":")
                    return parts[0], parts[1] if len(parts) == 2 else ""
        return "", ""


class Annotations(BaseModel):
    rest_timeout_ms: NonNegativeInt = Field(default=0, alias=REST_TIMEOUT)
    queue_size: PositiveInt = Field(default=10_000, alias=QUEUE_SIZE)
    write_timeout_ms: NonNegativeInt = Field(default=2_000, alias=WRITE_TIMEOUT)


class Settings(service.Settings):
    """The environment of one executor.

    `stop_grace` is how many seconds it may take to send what is queued once it
    is told to stop; `sink_timeout` how many seconds one event may take, which
    for the real executor is for ever; `max_body` how many bytes a request may have.
    """

    port: int = 8000
    deployment_name: str
    deployment_namespace: str
    predictor: Predictor
    model_url: str
    annotations: Annotations = Annotations()
    request_logger_default_endpoint: str = ""
    stop_grace: PositiveFloat = 8.0
    sink_timeout: PositiveFloat = 10.0
    max_body: PositiveInt = 256 * 2**20

    @property
    def sink(self) -> str | None:
        """Where events go; None when the node has no logger. Raises `ConfigurationError`."""
        logger = self.predictor.graph.logger
        if logger is None:
            return None
        url = logger.url or self.request_logger_default_endpoint
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"graph node {self.predictor.graph.name!r} has a logger but its URL is {url!r}:"
                " set logger.url or REQUEST_LOGGER_DEFAULT_ENDPOINT to an http URL"
            )
        return url


def from_environment() -> Settings:
    """Read and check the environment. Raises `ConfigurationError`."""
    try:
        settings = Settings()
    except (ValidationError, ValueError) as error:
        raise ConfigurationError(_sentence(error)) from None
    _ = settings.sink
    return settings


def environment(
    deployment: str,
    namespace: str,
    predictor: Mapping[str, object],
    *,
    model_url: str,
    logger_url: str,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment that makes `python -m closedloop.platforms.embedded.executor` the executor
    of this predictor; HOST and PORT are still to be added."""
    return {
        "DEPLOYMENT_NAME": deployment,
        "DEPLOYMENT_NAMESPACE": namespace,
        "PREDICTOR": json.dumps(predictor),
        "MODEL_URL": model_url,
        "REQUEST_LOGGER_DEFAULT_ENDPOINT": logger_url,
        "ANNOTATIONS": json.dumps(dict(annotations or {})),
    }


def _sentence(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        cause = error.__cause__ or error
        return f"{error}: {cause}: set it to JSON" if error.__cause__ else str(error)
    first = error.errors(include_url=False)[0]
    variable, *path = [str(part) for part in first["loc"]]
    where = variable.upper() + "".join(f".{part}" for part in path)
    if first["type"] == "missing":
        return f"{where} is missing: set it"
    return f"{where} is {first['input']!r}: {first['msg']}"
