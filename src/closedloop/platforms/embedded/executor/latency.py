"""How long calls take, as Seldon's executor exposes it."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Histogram

# Seldon Core, `executor/api/metric/constants.go`.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PREDICTOR = ("deployment_name", "predictor_name", "predictor_version")
_CALL = ("method", "code")


def of_server(registry: CollectorRegistry) -> Histogram:
    """Seconds of calls to the executor, by predictor, service, method and status."""
    return _histogram(
        "seldon_api_executor_server_requests_seconds",
        "A histogram of latencies for executor server",
        (*_PREDICTOR, "service", *_CALL),
        registry,
    )


def of_client(registry: CollectorRegistry) -> Histogram:
    """Seconds of its calls to the model, by path, predictor, model, method and status."""
    return _histogram(
        "seldon_api_executor_client_requests_seconds",
        "A histogram of latencies for client calls from executor",
        ("service", *_PREDICTOR, "model_name", "model_image", "model_version", *_CALL),
        registry,
    )


def _histogram(
    name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry
) -> Histogram:
    return Histogram(name, documentation, labels, registry=registry, buckets=_BUCKETS)
