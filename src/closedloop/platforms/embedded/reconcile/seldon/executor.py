"""The executor's container, with the settings that the operator passes to Seldon's own."""

from collections.abc import Mapping

from closedloop import seldon
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.kinds.seldon_deployment import (
    QUEUE_SIZE,
    REST_TIMEOUT,
    WRITE_TIMEOUT,
)
from closedloop.platforms.embedded.reconcile.runtime import Runtime
from closedloop.platforms.embedded.reconcile.seldon import model
from closedloop.platforms.embedded.reconcile.seldon.placed import Placed
from closedloop.platforms.embedded.reconcile.seldon.ports import EXECUTOR
from closedloop.platforms.embedded.reconcile.variables import POD_IP_PLACEHOLDER


def process(placed: Placed, own: Mapping[str, str], runtime: Runtime, *, grace: float) -> Process:
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
        "MODEL_IMAGE": model.image(placed, runtime),
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
