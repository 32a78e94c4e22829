"""The metrics server's HTTP side.

`POST /` takes a CloudEvent in binary mode and answers 202 with an empty body
once the state has changed. An event that cannot be used is answered the same
and counted by its reason, as in the request logger, which keeps it as a dead
letter: a broker would only make a second one of it. A request that
is no CloudEvent at all is answered 400.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from aiohttp import web
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, ProcessCollector

from closedloop.log.hourly import HourlyCounts
from closedloop.log.inference_log import InferenceLog
from closedloop.loop.events import InvalidEvent
from closedloop.loop.observation import Observation
from closedloop.loop.scoring.scoreboard import Outcome
from closedloop.services.kit import service
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.kit.incoming import NotAnEvent, receive
from closedloop.services.kit.json_errors import json_error, json_errors
from closedloop.services.metrics_server.collector import Counts, StateCollector
from closedloop.services.metrics_server.flow import Flow
from closedloop.services.metrics_server.from_log import Counted, FromLog
from closedloop.services.metrics_server.replay import QUIET_SECONDS, Replay
from closedloop.services.metrics_server.settings import Settings
from closedloop.services.metrics_server.state import Ignored, State

_Observe = Callable[[Observation], Outcome | Ignored]


def create_app(settings: Settings, registry: CollectorRegistry) -> web.Application:
    """The service; it connects to Elasticsearch when it starts and needs not find it there."""
    client = AsyncElasticsearch(
        settings.elasticsearch_url,
        basic_auth=settings.basic_auth,
        request_timeout=60,
        max_retries=0,
    )
    declared = DeclaredOutputs(settings.model_outputs, registry)
    log = InferenceLog(client, settings.predictors)
    source: Replay | FromLog
    if settings.source == "log":
        observe, source, counts = _from_log(log, settings, declared, registry)
    else:
        observe, source, counts = _from_events(log, settings, declared, registry)
    registry.register(StateCollector(counts, lambda: source.restored))
    ProcessCollector(registry=registry)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        reading = asyncio.create_task(source.run())
        yield
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        await client.close()

    app = web.Application(middlewares=[json_errors])
    app.cleanup_ctx.append(lifetime)
    flow = Flow(registry, settings.max_predictors)
    app.router.add_post("/", _Receiver(observe, flow, settings.max_event_bytes).event)
    service.add_health(app, source.why_not_ready)
    service.add_metrics(app, registry)
    return app


def _from_events(
    log: InferenceLog, settings: Settings, declared: DeclaredOutputs, registry: CollectorRegistry
) -> tuple[_Observe, Replay, Counts]:
    state = State(
        settings.row_limit,
        settings.predictors,
        output_of=declared.of,
        max_predictors=settings.max_predictors,
    )
    replay = Replay(
        log,
        state,
        registry,
        every=settings.resync_seconds,
        all_every=settings.full_resync_seconds,
        quiet=QUIET_SECONDS,
        redeclared=lambda: declared.refresh() and state.redeclare(),
    )
    return state.observe, replay, state


def _from_log(
    log: InferenceLog, settings: Settings, declared: DeclaredOutputs, registry: CollectorRegistry
) -> tuple[_Observe, FromLog, Counts]:
    counted = Counted()
    only = settings.predictors
    source = FromLog(
        HourlyCounts(log),
        counted,
        registry,
        declared=declared,
        wanted=lambda predictor: not only or predictor in only,
        every=settings.resync_seconds,
        all_every=settings.full_resync_seconds,
    )
    return (lambda _: Ignored.IGNORED), source, counted


class _Receiver:
    def __init__(self, observe: _Observe, flow: Flow, max_event_bytes: int) -> None:
        self._observe = observe
        self._flow = flow
        self._max_event_bytes = max_event_bytes

    async def event(self, request: web.Request) -> web.Response:
        try:
            incoming = await receive(request, self._max_event_bytes)
        except NotAnEvent as error:
            return json_error(400, str(error))
        refused = incoming.error
        if incoming.observation is not None:
            try:
                outcome = self._observe(incoming.observation)
                self._flow.count(incoming.kind, incoming.names, outcome)
            except InvalidEvent as error:
                refused = error
        if refused is not None:
            self._flow.refuse(incoming.kind, incoming.names, refused.reason)
        return web.Response(status=202)
