"""The executor's HTTP API, path by path and header by header.

Source: `executor/api/rest` of Seldon Core 1.17.1 for the Seldon protocol and
a graph of one MODEL node. Left out are paths for people and other protocols:
documentation, metadata, the status of a node, CORS. Not in the original is a
limit for request bodies.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from uuid import uuid4

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from closedloop.loop import events
from closedloop.loop.events import PUID_HEADER
from closedloop.platforms.embedded.executor.dispatch import Dispatcher, Payload
from closedloop.platforms.embedded.executor.model import ModelClient, ModelUnreachable, Reply
from closedloop.platforms.embedded.executor.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = web.RequestKey("headers", CIMultiDictProxy[str])

_log = logging.getLogger(__name__)


class Executor:
    """The routes of one predictor; `dispatcher` is None when its node has no logger."""

    def __init__(
        self,
        settings: Settings,
        model: ModelClient,
        dispatcher: Dispatcher | None,
        server_latency: Histogram,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._model = model
        self._dispatcher = dispatcher
        self._latency = server_latency
        self._registry = registry

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=self._settings.max_body, middlewares=[_too_large, self._fixed_headers]
        )
        routes = app.router
        for version in ("v0.1", "v1.0"):
            for name, handler in (("predictions", self._predict), ("feedback", self._feedback)):
                routes.add_post(f"/api/{version}/{name}", self._timed(name, handler))
        routes.add_route("*", "/ready", self._ready)
        routes.add_route("*", "/live", self._live)
        routes.add_route("*", "/prometheus", self._prometheus)
        app.on_response_prepare.append(_without_what_go_does_not_send)
        return app

    @web.middleware
    async def _fixed_headers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None:
            return await handler(request)
        sent = CIMultiDict((name, _as_sent(value)) for name, value in request.headers.items())
        if not sent.get(PUID_HEADER):
            sent[PUID_HEADER] = str(uuid4())
        request[_HEADERS] = CIMultiDictProxy(sent)
        response = await handler(request)
        headers = response.headers
        headers[PUID_HEADER] = sent[PUID_HEADER]
        headers["X-Content-Type-Options"] = "nosniff"
        if "Ce-Specversion" in sent:
            deployment = self._settings.deployment_name
            headers["Ce-Id"] = sent[PUID_HEADER]
            headers["Ce-Specversion"] = "0.3"
            headers["Ce-Path"] = request.path
            namespace = self._settings.deployment_namespace
            headers["Ce-Type"] = f"seldon.{deployment}.{namespace}.response"
            headers["Ce-Source"] = f"seldon.{deployment}"
        return response

    def _timed(self, service: str, handler: Handler) -> Handler:
        async def timed(request: web.Request) -> web.StreamResponse:
            started = perf_counter()
            response = await handler(request)
            labels = (
                *predictor_labels(self._settings),
                service,
                request.method.lower(),
                str(response.status),
            )
            self._latency.labels(*labels).observe(perf_counter() - started)
            return response

        return timed

    async def _predict(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._settings.logs_requests:
            self._publish(request, events.REQUEST, body)
        reply = await self._post("/predict", request, body)
        if isinstance(reply, web.Response):
            return reply
        if reply.status == 200 and self._settings.logs_responses:
            self._publish(request, events.RESPONSE, reply.body, reply)
        return _answer(reply)

    async def _feedback(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._settings.logs_responses:
            self._publish(request, events.FEEDBACK, body)
        reply = await self._post("/send-feedback", request, body)
        return reply if isinstance(reply, web.Response) else _answer(reply)

    async def _post(self, path: str, request: web.Request, body: bytes) -> Reply | web.Response:
        try:
            return await self._model.post(path, body, request[_HEADERS])
        except ModelUnreachable as error:
            _log.error("%s", error)
            return _failure(str(error))

    def _publish(
        self, request: web.Request, type_: str, body: bytes, reply: Reply | None = None
    ) -> None:
        headers = request[_HEADERS]
        skip = {value.lower() for value in headers.getall("Seldon-Skip-Logging", ())}
        if self._dispatcher is None or skip & {"true", "on", "1"}:
            return
        puid = headers[PUID_HEADER]
        if reply is None:
            payload = Payload(type_, puid, body, headers.get("Content-Type", ""))
        else:
            payload = Payload(type_, puid, body, reply.content_type, reply.content_encoding)
        self._dispatcher.publish(payload)

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if await self._model.listens() else 503)

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _prometheus(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry),
            headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4},
        )


def predictor_labels(settings: Settings) -> tuple[str, str, str]:
    """Label values deployment_name, predictor_name, predictor_version."""
    return settings.deployment_name, settings.predictor_name, settings.predictor_version


def html_escaped(body: bytes) -> bytes:
    """The bytes as Go's `json.HTMLEscape` writes them."""
    for character in "<>&\u2028\u2029":
        body = body.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return body


def _answer(reply: Reply) -> web.Response:
    headers = {}
    if reply.status != 200:
        # The original sets the type too late, so Go's server guesses it from the body.
        return web.Response(status=reply.status, body=html_escaped(reply.body), headers=_GUESSED)
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    if reply.content_encoding:
        headers["Content-Encoding"] = reply.content_encoding
        return web.Response(body=reply.body, headers=headers)
    return web.Response(body=html_escaped(reply.body), headers=headers)


_GUESSED = {"Content-Type": "text/plain; charset=utf-8"}


def _failure(info: str, status: int = 500) -> web.Response:
    body = {"status": {"code": 500, "info": info, "status": "FAILURE"}}
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return web.Response(status=status, body=html_escaped(text.encode()), headers=_GUESSED)


def _as_sent(value: str) -> str:
    """A header value that can be sent on: bytes that are not UTF-8 become Latin-1."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


@web.middleware
async def _too_large(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge as error:
        return _failure(f"{error.text}: send a smaller body", 413)


async def _without_what_go_does_not_send(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    if isinstance(response, web.Response) and not response.body:
        response.headers.pop("Content-Type", None)
