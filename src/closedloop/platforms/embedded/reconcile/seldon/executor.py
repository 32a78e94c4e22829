"""The executor's container: what the operator passes to Seldon's own in flags and variables."""

from collections.abc import Mapping

from closedloop import seldon
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.executor.settings import QUEUE_SIZE, WRITE_TIMEOUT, environment
from closedloop.platforms.embedded.reconcile.runtime import Runtime
from closedloop.platforms.embedded.reconcile.seldon import model
from closedloop.platforms.embedded.reconcile.seldon.placed import Placed
from closedloop.platforms.embedded.reconcile.seldon.ports import EXECUTOR
from closedloop.platforms.embedded.reconcile.variables import POD_IP_PLACEHOLDER


def process(placed: Placed, own: Mapping[str, str], runtime: Runtime, *, grace: float) -> Process:
    """The process in front of a predictor's model; `own` is the manifest's svcOrchSpec.env."""
    annotations = {
        QUEUE_SIZE: str(runtime.logger_queue_size),
        WRITE_TIMEOUT: str(runtime.logger_write_timeout_ms),
        **placed.sdep.spec.annotations,
    }
    env = environment(
        placed.name,
        placed.namespace,
        _predictor(placed, runtime),
        model_url=f"http://{POD_IP_PLACEHOLDER}:{placed.ports.http}",
        logger_url=runtime.logger_endpoint,
        annotations=annotations,
    )
    return Process(
        name=seldon.EXECUTOR,
        argv=runtime.executor(),
        env={**env, **own, "HOST": POD_IP_PLACEHOLDER, "PORT": str(EXECUTOR)},
        readiness=Probe(port=EXECUTOR, path="/ready", timeout=5.0),
        liveness=Probe(port=EXECUTOR, path="/live", period=5.0, timeout=5.0),
        stop_grace=grace,
        ports={"http": EXECUTOR, "metrics": EXECUTOR},
    )


def _predictor(placed: Placed, runtime: Runtime) -> dict[str, object]:
    """What the operator encodes in ENGINE_PREDICTOR, of which the executor reads this much.

    Neither traffic nor replicas nor the shadow flag is in it: the operator sets
    the first two to zero there, so that they do not roll the pods, and the
    third rolls them by its label.
    """
    graph = placed.graph
    image = model.image(placed, runtime)
    return {
        "name": placed.predictor.name,
        "annotations": dict(placed.predictor.annotations),
        "graph": {
            "name": graph.name,
            "type": graph.type,
            **({} if graph.logger is None else {"logger": graph.logger.model_dump()}),
        },
        "componentSpecs": [{"spec": {"containers": [{"name": graph.name, "image": image}]}}],
    }
