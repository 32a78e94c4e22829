"""The metrics server's HTTP side.

`POST /` takes a CloudEvent in binary mode and answers 202 with an empty body
once the state has changed. An event that cannot be used is answered the same
and counted by its reason, as in the request logger, which keeps it as a dead
letter: a broker would only make a second one of it. A request that
is no CloudEvent at all is answered 400, an event that cannot be taken now 503.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, ProcessCollector

from closedloop.log.hourly import HourlyCounts
from closedloop.log.inference_log import InferenceLog
from closedloop.loop.events import HEADERS, InvalidEvent
from closedloop.services.kit.asgi import Answer, Application, Headers, Reply
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.kit.incoming import NotAnEvent, check, read
from closedloop.services.metrics_server.collector import CountsCollector
from closedloop.services.metrics_server.flow import Flow
from closedloop.services.metrics_server.from_log import FromLog
from closedloop.services.metrics_server.held import HeldRows
from closedloop.services.metrics_server.settings import Settings
from closedloop.services.metrics_server.source import Source, Unavailable

_log = structlog.get_logger(__name__)


def create_app(settings: Settings, registry: CollectorRegistry) -> Application:
    """The service; it connects to Elasticsearch when it starts and needs not find it there."""
    client = AsyncElasticsearch(
        settings.elasticsearch_url,
        basic_auth=settings.basic_auth,
        request_timeout=60,
        max_retries=0,
    )
    declared = DeclaredOutputs(settings.model_outputs, registry)
    log = InferenceLog(client, settings.predictors)
    source: Source
    if settings.source == "log":
        source = FromLog(
            HourlyCounts(log),
            registry,
            declared=declared,
            wanted=lambda predictor: not settings.predictors or predictor in settings.predictors,
            every=settings.resync_seconds,
            all_every=settings.full_resync_seconds,
        )
    else:
        source = HeldRows(settings, log, declared, registry)
    registry.register(CountsCollector(source))
    ProcessCollector(registry=registry)

    @asynccontextmanager
    async def lifetime() -> AsyncIterator[None]:
        running = asyncio.create_task(source.run())
        running.add_done_callback(_end)
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()

    receiver = _Receiver(source, Flow(registry, settings.max_predictors))
    return Application(
        {"/": receiver.event},
        HEADERS,
        most_bytes=settings.max_event_bytes,
        registry=registry,
        why_not_ready=source.why_not_ready,
        lifetime=lifetime,
    )


def _end(source: asyncio.Task[None]) -> None:
    # Counts that nobody keeps up to date look like good ones, and a restart mends them.
    if not source.cancelled():
        _log.critical(
            "counts are no longer kept up to date: ending", error=repr(source.exception())
        )
        signal.raise_signal(signal.SIGTERM)


class _Receiver:
    def __init__(self, source: Source, flow: Flow) -> None:
        self._source = source
        self._flow = flow

    def event(self, _: Reply, headers: Headers, body: bytes, size: int, broken: str) -> Answer:
        incoming = read(headers, body, size, broken)
        refused = incoming.error
        if refused is not None:
            try:
                check(headers)
            except NotAnEvent as error:
                return 400, str(error)
        if incoming.observation is not None:
            try:
                outcome = self._source.observe(incoming.observation)
                self._flow.count(incoming.kind, incoming.names, outcome)
            except Unavailable as error:
                return 503, str(error)
            except InvalidEvent as error:
                refused = error
        if refused is not None:
            self._flow.refuse(incoming.kind, incoming.names, refused.reason)
        return 202, ""
