"""The metrics server's HTTP side.

`POST /` takes a CloudEvent in binary mode and answers 202 with an empty body
once the state has changed. What cannot be used is refused with 400 (413 when
it is too large) and a sentence that says why: a broker does not send it again
but passes it to its dead-letter sink, where a person sees it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, ProcessCollector

from closedloop import service
from closedloop.events import InvalidEvent, from_http
from closedloop.inference_log import InferenceLog
from closedloop.json_errors import json_error, json_errors
from closedloop.metrics_server.collector import StateCollector
from closedloop.metrics_server.flow import Flow
from closedloop.metrics_server.replay import QUIET_SECONDS, Replay
from closedloop.metrics_server.settings import Settings
from closedloop.metrics_server.state import State


def create_app(settings: Settings, registry: CollectorRegistry) -> web.Application:
    """The service; it connects to Elasticsearch when it starts and needs not find it there."""
    client = AsyncElasticsearch(
        settings.elasticsearch_url,
        basic_auth=settings.basic_auth,
        request_timeout=60,
        max_retries=0,
    )
    state = State(settings.row_limit, settings.predictors)
    replay = Replay(
        InferenceLog(client, settings.predictors),
        state,
        registry,
        every=settings.resync_seconds,
        all_every=settings.full_resync_seconds,
        quiet=QUIET_SECONDS,
    )
    registry.register(StateCollector(state, lambda: replay.restored))
    ProcessCollector(registry=registry)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        replaying = asyncio.create_task(replay.run())
        yield
        replaying.cancel()
        with suppress(asyncio.CancelledError):
            await replaying
        await client.close()

    app = web.Application(middlewares=[json_errors], client_max_size=settings.max_event_bytes)
    app.cleanup_ctx.append(lifetime)
    app.router.add_post("/", _Receiver(state, Flow(registry), settings.max_event_bytes).event)
    service.add_health(app, replay.why_not_ready)
    service.add_metrics(app, registry)
    return app


class _Receiver:
    def __init__(self, state: State, flow: Flow, max_event_bytes: int) -> None:
        self._state = state
        self._flow = flow
        self._max_event_bytes = max_event_bytes

    async def event(self, request: web.Request) -> web.Response:
        kind = request.headers.get("ce-type", "")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self._flow.refuse(kind, "too_large")
            return json_error(
                413, f"the event is too large: send at most {self._max_event_bytes} bytes"
            )
        except web.RequestPayloadError:
            self._flow.refuse(kind, "bad_encoding")
            return json_error(400, "the body is not encoded as its headers say: encode it again")
        event = None
        try:
            event = from_http(request.headers, body)
            self._flow.count(event, self._state.observe(event))
        except InvalidEvent as error:
            self._flow.refuse(kind, error.reason, event)
            return json_error(400, str(error))
        return web.Response(status=202)
