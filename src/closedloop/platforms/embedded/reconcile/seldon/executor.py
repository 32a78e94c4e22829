"""The executor's container: its environment stands in for the flags of Seldon's own.

| variable | the operator's flag or variable |
|---|---|
| HOST, PORT | `--http_port` |
| DEPLOYMENT, NAMESPACE, PREDICTOR | `--sdep`, `--namespace`, `--predictor` |
| GRAPH | `ENGINE_PREDICTOR`'s graph, as JSON, with the endpoint filled in |
| MODEL_IMAGE | the image of `ENGINE_PREDICTOR`'s container |
| PREDICTOR_VERSION | the annotation `version` of `ENGINE_PREDICTOR` |
| REQUEST_LOGGER_DEFAULT_ENDPOINT | the same |
| LOG_WORK_BUFFER_SIZE, LOG_WRITE_TIMEOUT_MS | `--log_work_buffer_size`, `--log_write_timeout_ms` |
| REST_TIMEOUT_MS | annotation `seldon.io/rest-timeout`; 0 is none |
| PROMETHEUS_PATH | `--prometheus_path` |
"""

import json
from collections.abc import Mapping

from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.reconcile.environment import POD_IP_PLACEHOLDER
from closedloop.platforms.embedded.reconcile.kinds.seldon_deployment import (
    QUEUE_SIZE,
    REST_TIMEOUT,
    WRITE_TIMEOUT,
)
from closedloop.platforms.embedded.reconcile.runtime import Runtime
from closedloop.platforms.embedded.reconcile.seldon import model
from closedloop.platforms.embedded.reconcile.seldon.placed import Placed
from closedloop.platforms.embedded.reconcile.seldon.ports import EXECUTOR

NAME = "seldon-container-engine"


def process(placed: Placed, own: Mapping[str, str], runtime: Runtime, *, grace: float) -> Process:
    """The process in front of a predictor's model; `own` is the manifest's svcOrchSpec.env."""
    annotations = placed.sdep.spec.annotations
    env = {
        "HOST": POD_IP_PLACEHOLDER,
        "PORT": str(EXECUTOR),
        "DEPLOYMENT": placed.name,
        "NAMESPACE": placed.namespace,
        "PREDICTOR": placed.predictor.name,
        "PREDICTOR_VERSION": placed.predictor.annotations.get("version", ""),
        "MODEL_IMAGE": model.image(placed, runtime),
        "GRAPH": _graph(placed),
        "REQUEST_LOGGER_DEFAULT_ENDPOINT": runtime.logger_endpoint,
        "LOG_WORK_BUFFER_SIZE": annotations.get(QUEUE_SIZE, str(runtime.logger_queue_size)),
        "LOG_WRITE_TIMEOUT_MS": annotations.get(
            WRITE_TIMEOUT, str(runtime.logger_write_timeout_ms)
        ),
        "REST_TIMEOUT_MS": annotations.get(REST_TIMEOUT, "0"),
        "PROMETHEUS_PATH": model.METRICS_PATH,
    }
    return Process(
        name=NAME,
        argv=runtime.executor(),
        env={**own, **env},
        readiness=Probe(port=EXECUTOR, path="/ready", timeout=5.0),
        liveness=Probe(port=EXECUTOR, path="/live", period=5.0, timeout=5.0),
        stop_grace=grace,
        ports={"http": EXECUTOR, "metrics": EXECUTOR},
    )


def _graph(placed: Placed) -> str:
    graph = placed.graph
    node: dict[str, object] = {
        "name": graph.name,
        "type": graph.type,
        "implementation": graph.implementation,
        "endpoint": {
            "service_host": POD_IP_PLACEHOLDER,
            "service_port": placed.ports.http,
            "httpPort": placed.ports.http,
            "grpcPort": placed.ports.grpc,
        },
        "parameters": [
            {"name": one.name, "value": one.value, "type": one.type} for one in graph.parameters
        ],
    }
    if graph.model_uri:
        node["modelUri"] = graph.model_uri
    if graph.logger is not None:
        url = {} if graph.logger.url is None else {"url": graph.logger.url}
        node["logger"] = {"mode": graph.logger.mode, **url}
    return json.dumps(node, separators=(",", ":"))
