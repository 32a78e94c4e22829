"""One executor, put together and served until it is told to stop."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram

from closedloop.platforms.embedded.executor.app import Executor, predictor_labels
from closedloop.platforms.embedded.executor.dispatch import Dispatcher
from closedloop.platforms.embedded.executor.model import ModelClient, session
from closedloop.platforms.embedded.executor.settings import Settings

# Go's server closes an idle connection after this many seconds.
_KEEP_ALIVE = 65.0
# Seldon Core, `executor/api/metric/constants.go`.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PREDICTOR = ("deployment_name", "predictor_name", "predictor_version")
_CALL = ("method", "code")


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises OSError when the port is taken."""
    registry = CollectorRegistry()
    milliseconds = settings.rest_timeout_ms
    async with session(milliseconds / 1000 if milliseconds else None) as http:
        labels = (*predictor_labels(settings), settings.model_name, *settings.image)
        model = ModelClient(settings.model_url, http, client_latency(registry), labels)
        dispatcher = _dispatcher(settings, registry)
        if dispatcher is not None:
            await dispatcher.start()
        app = Executor(
            settings, model, dispatcher, server_latency(registry), registry
        ).application()
        runner = web.AppRunner(
            app,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE,
            shutdown_timeout=settings.stop_grace / 2,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
            await stop.wait()
        finally:
            await runner.cleanup()
            if dispatcher is not None:
                await dispatcher.stop(settings.stop_grace / 2)


def _dispatcher(settings: Settings, registry: CollectorRegistry) -> Dispatcher | None:
    if settings.sink is None:
        return None
    return Dispatcher(
        settings.sink,
        registry,
        namespace=settings.deployment_namespace,
        deployment=settings.deployment_name,
        predictor=settings.predictor_name,
        model=settings.model_name,
        queue_size=settings.queue_size,
        write_timeout=settings.write_timeout_ms / 1000,
        sink_timeout=settings.sink_timeout,
    )


def server_latency(registry: CollectorRegistry) -> Histogram:
    """Seconds of calls to the executor, by predictor, service, method and status."""
    return _histogram(
        "seldon_api_executor_server_requests_seconds",
        "A histogram of latencies for executor server",
        (*_PREDICTOR, "service", *_CALL),
        registry,
    )


def client_latency(registry: CollectorRegistry) -> Histogram:
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
