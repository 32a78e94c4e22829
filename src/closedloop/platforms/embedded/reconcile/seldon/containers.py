"""The containers of a predictor's pod: the model, and the executor in front of it.

Their environments are those that the operator makes.
"""

import json
from collections.abc import Mapping

from closedloop import seldon
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.kinds.seldon_deployment import (
    QUEUE_SIZE,
    REST_TIMEOUT,
    WRITE_TIMEOUT,
)
from closedloop.platforms.embedded.reconcile.runtime import Runtime, Unsupported
from closedloop.platforms.embedded.reconcile.seldon.placed import EXECUTOR, Placed
from closedloop.platforms.embedded.reconcile.variables import POD_IP_PLACEHOLDER
from closedloop.platforms.embedded.reconcile.volumes import Mounts

METRICS_PATH = "/prometheus"


class UnsupportedAt(Unsupported):
    """`Unsupported`, with the field of the graph or container that asks for it."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def image(placed: Placed, runtime: Runtime) -> str:
    """The image that runs in a cluster."""
    return placed.container.image or runtime.sklearn_image()


def model(
    placed: Placed, own: Mapping[str, str], runtime: Runtime, *, mounts: Mounts, grace: float
) -> Process:
    """The process of a predictor's model; `own` is the environment that the manifest gives.

    Raises `UnsupportedAt` for an image or model that this machine cannot run.
    """
    ports = placed.ports
    return Process(
        name=placed.graph.name,
        argv=_argv(placed, runtime),
        env=_env(placed, own, runtime, mounts),
        # The operator probes TCP after 20 s. Here nothing waits that long, and the
        # port is open before the model is loaded, so a page of the worker is asked for.
        readiness=Probe(port=ports.http, path="/health/ping", timeout=5.0),
        liveness=Probe(port=ports.http, period=5.0),
        stop_grace=grace,
        ports={"http": ports.http, "metrics": ports.metrics},
    )


def executor(placed: Placed, own: Mapping[str, str], runtime: Runtime, *, grace: float) -> Process:
    """The process in front of a predictor's model; `own` is the manifest's svcOrchSpec.env.

    Neither traffic nor replicas nor the shadow flag is in its environment: the
    operator sets the first two to zero there, so that they do not roll the
    pods, and the third rolls them by its label.
    """
    annotations = placed.sdep.spec.annotations
    graph = placed.graph
    logger = graph.logger
    env = {
        "DEPLOYMENT_NAME": placed.name,
        "DEPLOYMENT_NAMESPACE": placed.namespace,
        "PREDICTOR_NAME": placed.predictor.name,
        "PREDICTOR_VERSION": placed.predictor.annotations.get("version", ""),
        "MODEL_NAME": graph.name,
        "MODEL_IMAGE": image(placed, runtime),
        "MODEL_URL": f"http://{POD_IP_PLACEHOLDER}:{placed.ports.http}",
        "LOGGER_MODE": logger.mode if logger else "",
        "LOGGER_URL": (logger and logger.url) or "",
        "REQUEST_LOGGER_DEFAULT_ENDPOINT": runtime.logger_endpoint,
        "REST_TIMEOUT_MS": annotations.get(REST_TIMEOUT, "0"),
        "QUEUE_SIZE": annotations.get(QUEUE_SIZE, str(runtime.logger_queue_size)),
        "WRITE_TIMEOUT_MS": annotations.get(WRITE_TIMEOUT, str(runtime.logger_write_timeout_ms)),
        **own,
        "HOST": POD_IP_PLACEHOLDER,
        "PORT": str(EXECUTOR),
    }
    return Process(
        name=seldon.EXECUTOR,
        argv=runtime.executor(),
        env=env,
        readiness=Probe(port=EXECUTOR, path="/ready", timeout=5.0),
        liveness=Probe(port=EXECUTOR, path="/live", period=5.0, timeout=5.0),
        stop_grace=grace,
        ports={"http": EXECUTOR, "metrics": EXECUTOR},
    )


def _argv(placed: Placed, runtime: Runtime) -> tuple[str, ...]:
    if placed.graph.prepackaged:
        return runtime.sklearn_server()
    try:
        return runtime.own_model(placed.container.image)
    except Unsupported as error:
        path = ("componentSpecs", 0, "spec", "containers", 0, "image")
        raise UnsupportedAt(path, f"is {placed.container.image!r}: {error}") from None


def _env(
    placed: Placed, own: Mapping[str, str], runtime: Runtime, mounts: Mounts
) -> dict[str, str]:
    ports = placed.ports
    return {
        # The manifest's own variables win over these …
        "PREDICTIVE_UNIT_SERVICE_PORT": str(ports.http),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports.http),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports.grpc),
        **_parameters(placed, runtime, mounts, prepackaged=False),
        **{name: mounts.place(text) for name, text in own.items()},
        # … and the operator's over the manifest's.
        **_parameters(placed, runtime, mounts, prepackaged=True),
        "PREDICTIVE_UNIT_ID": placed.graph.name,
        "PREDICTIVE_UNIT_IMAGE": image(placed, runtime),
        "PREDICTOR_ID": placed.predictor.name,
        "PREDICTOR_LABELS": _json(dict(sorted(placed.predictor_labels.items()))),
        "SELDON_DEPLOYMENT_ID": placed.name,
        "SELDON_EXECUTOR_ENABLED": "true",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports.metrics),
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": METRICS_PATH,
        # One machine only: the pod's address, and no gRPC, with which the wrapper never stops.
        "HOST": POD_IP_PLACEHOLDER,
        "GRPC_WORKERS": "0",
    }


def _parameters(
    placed: Placed, runtime: Runtime, mounts: Mounts, *, prepackaged: bool
) -> dict[str, str]:
    if placed.graph.prepackaged != prepackaged:
        return {}
    parameters = [
        {"name": one.name, "value": mounts.place(one.value), "type": one.type}
        for one in placed.graph.parameters
    ]
    if prepackaged:
        try:
            folder = runtime.model_folder(placed.graph.model_uri)
        except Unsupported as error:
            path = ("graph", "modelUri")
            raise UnsupportedAt(path, f"is {placed.graph.model_uri!r}: {error}") from None
        # In a cluster an init container copies the model, and the value is /mnt/models.
        parameters.append({"name": "model_uri", "value": folder, "type": "STRING"})
    return {"PREDICTIVE_UNIT_PARAMETERS": _json(parameters)} if parameters else {}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
