"""How an image becomes a command: the stand-in for a container runtime.

Three images are known, of which the tag is not looked at: the code is the checkout's. Models of
one's own have images too, made of their folders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic.alias_generators import to_camel

from closedloop.manifests import ManifestError
from closedloop.validation import first_fault

COMPONENTS_IMAGE = "closedloop/components"
IRIS_IMAGE = "closedloop/iris"
SKLEARN_SERVER_IMAGE = "seldonio/sklearnserver"

_IRIS_CLASS = "closedloop.models.iris_classifier.IrisClassifier"
_SKLEARN_CLASS = "closedloop.models.sklearn_server.SKLearnServer"


# Of helm values and versions only these are read; the rest is the chart's.
class _RequestLogger(BaseModel, alias_generator=to_camel):
    default_endpoint: str
    work_queue_size: PositiveInt = 10_000
    write_timeout_ms: NonNegativeInt = 2_000


class _Executor(BaseModel, alias_generator=to_camel):
    request_logger: _RequestLogger


class _Istio(BaseModel):
    gateway: str = "istio-system/seldon-gateway"


class _Values(BaseModel, title="seldon-core/values.yaml"):
    executor: _Executor
    istio: _Istio = _Istio()


class _Chart(BaseModel):
    version: str


class _Part(BaseModel):
    cluster: _Chart


class _Versions(BaseModel, title="versions.yaml"):
    seldon_core: _Part = Field(alias="seldon-core")


_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Unsupported(ValueError):
    """An image, command or model that cannot run here; the message names those that can."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The interpreters and models of this machine, and the values of Seldon's chart.

    `python` runs our components and the executor, `model_python` is that of
    the model servers' own environment. `models` maps a pattern of model URIs,
    with `*` for any text, to the folder of a model trained here; `built` has the command lines
    of models of one's own, by image. ConfigMaps that pods mount are folders below `volumes`.
    """

    python: str
    model_python: str
    models: Mapping[str, str]
    volumes: str
    logger_endpoint: str  # executor.requestLogger.defaultEndpoint
    logger_queue_size: int = 10_000  # executor.requestLogger.workQueueSize
    logger_write_timeout_ms: int = 2_000  # executor.requestLogger.writeTimeoutMs
    gateway: str = "istio-system/seldon-gateway"  # istio.gateway
    seldon_version: str = "1.17.1"  # of the cluster's chart, which names SKLEARN_SERVER's image
    built: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE)

    def component(self, image: str, command: Sequence[str], args: Sequence[str]) -> tuple[str, ...]:
        """The command line of a container in a Deployment. Raises `Unsupported`."""
        if repository(image) != COMPONENTS_IMAGE:
            raise Unsupported(f"only {COMPONENTS_IMAGE} can run in a Deployment on one machine")
        if not command or command[0] not in ("python", "python3"):
            raise Unsupported(f"{COMPONENTS_IMAGE} needs a command that starts with python")
        return (self.python, *command[1:], *args)

    def executor(self) -> tuple[str, ...]:
        """The command line of the stand-in for Seldon's executor."""
        return (self.python, "-m", "closedloop.platforms.embedded.executor")

    def own_model(self, image: str) -> tuple[str, ...]:
        """The command line of a model image of one's own. Raises `Unsupported`."""
        if image in self.built:
            return self.built[image]
        if repository(image) != IRIS_IMAGE:
            raise Unsupported(
                f"only {IRIS_IMAGE} and what `build` made of a folder can serve a model on one"
                " machine: see docs/your-model.md"
            )
        return (self.model_python, "-m", "closedloop.models.serve", _IRIS_CLASS)

    def sklearn_server(self) -> tuple[str, ...]:
        """The command line of the prepackaged scikit-learn server."""
        return (self.model_python, "-m", "closedloop.models.serve", _SKLEARN_CLASS)

    def sklearn_image(self) -> str:
        """The image that the operator would put in for SKLEARN_SERVER."""
        return f"{SKLEARN_SERVER_IMAGE}:{self.seldon_version}"

    def model_folder(self, uri: str) -> str:
        """The folder here that stands in for a model URI. Raises `Unsupported`."""
        for pattern, folder in self.models.items():
            if fnmatchcase(uri, pattern):
                return folder
        known = ", ".join(self.models) or "none"
        raise Unsupported(f"no model was trained here for it (there is one for: {known})")


def runtime_from(
    values: Mapping[str, object],
    versions: Mapping[str, object],
    *,
    python: str,
    model_python: str,
    models: Mapping[str, str],
    volumes: str,
    built: Mapping[str, tuple[str, ...]] = _NONE,
) -> Runtime:
    """A runtime with the settings of `seldon-core/values.yaml` and `versions.yaml`.

    Raises `ManifestError` when a value is missing or wrong.
    """
    try:
        chart = _Values.model_validate(values)
        parts = _Versions.model_validate(versions)
    except ValidationError as error:
        raise ManifestError([f"{error.title}: {first_fault(error)}"]) from None
    logger = chart.executor.request_logger
    return Runtime(
        python=python,
        model_python=model_python,
        models=models,
        volumes=volumes,
        logger_endpoint=logger.default_endpoint,
        logger_queue_size=logger.work_queue_size,
        logger_write_timeout_ms=logger.write_timeout_ms,
        gateway=chart.istio.gateway,
        seldon_version=parts.seldon_core.cluster.version,
        built=built,
    )


def repository(image: str) -> str:
    """An image's name without tag or digest: `a/b` of `a/b:1` and of `a/b@sha256:…`."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
