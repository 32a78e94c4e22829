"""One executor, put together and served until it is told to stop."""

import asyncio
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CollectorRegistry

from closedloop.platforms.embedded.executor import latency
from closedloop.platforms.embedded.executor.app import Executor, predictor_labels
from closedloop.platforms.embedded.executor.dispatch import Dispatcher
from closedloop.platforms.embedded.executor.model import ModelClient
from closedloop.platforms.embedded.executor.settings import Settings

# Go's server closes an idle connection after this many seconds.
_KEEP_ALIVE = 65.0


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises OSError when the port is taken."""
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(_model(settings, registry))
        dispatcher = _dispatcher(settings, registry)
        if dispatcher is not None:
            await dispatcher.start()
        app = Executor(
            settings, model, dispatcher, latency.of_server(registry), registry
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


def _model(settings: Settings, registry: CollectorRegistry) -> ModelClient:
    image, version = settings.image
    labels = (*predictor_labels(settings), settings.model_name, image, version)
    milliseconds = settings.rest_timeout_ms
    timeout = milliseconds / 1000 if milliseconds else None
    return ModelClient(settings.model_url, latency.of_client(registry), labels, timeout)


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
