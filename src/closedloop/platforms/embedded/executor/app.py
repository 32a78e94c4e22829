"""The executor's HTTP API, path by path and header by header.

Source: `executor/api/rest` of Seldon Core 1.17.1 for the Seldon protocol and
a graph of one MODEL node. Not in the original: a limit for request bodies.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from uuid import uuid4

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from closedloop.loop import events
from closedloop.loop.events import PUID_HEADER
from closedloop.platforms.embedded.executor.dispatch import Dispatcher, Payload
from closedloop.platforms.embedded.executor.latency import Latency
from closedloop.platforms.embedded.executor.model import ModelClient, ModelUnreachable, Reply
from closedloop.platforms.embedded.executor.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ALLOWED_HEADERS = (
    "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, X-CSRF-Token"
)
_HEADERS = web.RequestKey("headers", CIMultiDictProxy[str])

_log = logging.getLogger(__name__)


class Executor:
    """The routes of one predictor; `dispatcher` is None when its node has no logger."""

    def __init__(
        self,
        settings: Settings,
        model: ModelClient,
        dispatcher: Dispatcher | None,
        server_latency: Latency,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._model = model
        self._dispatcher = dispatcher
        self._latency = server_latency
        self._registry = registry

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=self._settings.max_body, middlewares=[_go_errors, self._fixed_headers]
        )
        routes = app.router
        for version in ("v0.1", "v1.0"):
            for name, handler in (("predictions", self._predict), ("feedback", self._feedback)):
                timed = self._timed(name, handler)
                _route(app, f"/api/{version}/{name}", timed, "POST", "OPTIONS")
            _route(app, f"/api/{version}/doc/{{tail:.*}}", self._doc)
            for name, handler in (("status", self._status_of), ("metadata", self._metadata_of)):
                timed = self._timed(name, handler)
                _route(app, f"/api/{version}/{name}/{{model}}", timed, "GET", "OPTIONS")
        ready = self._timed("status", self._ready)
        _route(app, "/api/v1.0/status", ready, "GET", "OPTIONS")
        _route(app, "/api/v1.0/health/status", ready, "GET", "OPTIONS")
        metadata = self._timed("metadata", self._graph_metadata)
        _route(app, "/api/v1.0/metadata", metadata, "GET", "OPTIONS")
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
        if request.method == "OPTIONS":
            response: web.StreamResponse = web.Response()
        else:
            response = await handler(request)
        headers = response.headers
        headers[PUID_HEADER] = sent[PUID_HEADER]
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Access-Control-Allow-Origin"] = self._settings.cors_allowed_origins
        headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
        if allowed := _allowed_methods(request):
            headers["Access-Control-Allow-Methods"] = allowed
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
            self._latency.observe(labels, perf_counter() - started)
            return response

        return timed

    async def _predict(self, request: web.Request) -> web.Response:
        logger = self._settings.predictor.graph.logger
        body = await request.read()
        if logger and logger.requests:
            self._publish(request, events.REQUEST, body)
        reply = await self._post("/predict", request, body)
        if isinstance(reply, web.Response):
            return reply
        if reply.status == 200 and logger and logger.responses:
            self._publish(request, events.RESPONSE, reply.body, reply)
        return _answer(reply)

    async def _feedback(self, request: web.Request) -> web.Response:
        logger = self._settings.predictor.graph.logger
        body = await request.read()
        if logger and logger.responses:
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
        full = self._settings.full_health_checks
        ready = await (self._model.healthy() if full else self._model.listens())
        return web.Response(status=200 if ready else 503)

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _prometheus(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry),
            headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4},
        )

    async def _status_of(self, request: web.Request) -> web.Response:
        return await self._ask_model("/health/status", request)

    async def _metadata_of(self, request: web.Request) -> web.Response:
        return await self._ask_model("/metadata", request)

    async def _ask_model(self, path: str, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if name != self._settings.predictor.graph.name:
            return _failure(f"Failed to find model {name}")
        try:
            return _answer(await self._model.get(path, request[_HEADERS]))
        except ModelUnreachable as error:
            return _failure(str(error))

    async def _graph_metadata(self, request: web.Request) -> web.Response:
        try:
            reply = await self._model.get("/metadata", request[_HEADERS])
            if reply.status != 200:
                return _failure(
                    "Internal service call from executor failed calling"
                    f" {self._model.url}/metadata status code {reply.status}",
                    reply.status,
                )
            said = json.loads(reply.body)
        except (ModelUnreachable, ValueError) as error:
            return _failure(str(error))
        # Go leaves out what is empty inside a model's metadata, not at the top.
        known = ("name", "platform", "versions", "inputs", "outputs", "custom")
        absent: tuple[object, ...] = (None, "", {})
        model = {key: said[key] for key in known if said.get(key) not in absent}
        graph = {
            "name": self._settings.predictor.name,
            "models": {self._settings.predictor.graph.name: model},
            "graphinputs": said.get("inputs"),
            "graphoutputs": said.get("outputs"),
        }
        body = json.dumps(graph, separators=(",", ":")).encode()
        return _answer(Reply(200, body, "application/json", ""))

    async def _doc(self, request: web.Request) -> web.Response:
        if request.match_info["tail"]:
            raise web.HTTPNotFound
        paths = sorted({resource.canonical for resource in request.app.router.resources()})
        listed = "".join(f"<li><code>{path}</code></li>" for path in paths)
        page = f"<!doctype html><title>Seldon API</title><h1>Seldon API</h1><ul>{listed}</ul>"
        return web.Response(text=page, content_type="text/html")


def predictor_labels(settings: Settings) -> tuple[str, str, str]:
    """Label values deployment_name, predictor_name, predictor_version."""
    return settings.deployment_name, settings.predictor.name, settings.predictor.version


def html_escaped(body: bytes) -> bytes:
    """The bytes as Go's `json.HTMLEscape` writes them."""
    for character in "<>&\u2028\u2029":
        body = body.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return body


def _route(app: web.Application, path: str, handler: Handler, *methods: str) -> None:
    for method in methods or ("*",):
        app.router.add_route(method, path, handler)


def _allowed_methods(request: web.Request) -> str:
    """As gorilla/mux says them, for paths that know OPTIONS: in the order of the routes."""
    resource = request.match_info.route.resource
    methods = {route.method for route in resource or ()}
    if "OPTIONS" not in methods:
        return ""
    return "OPTIONS,POST" if "POST" in methods else "GET,OPTIONS"


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
async def _go_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of routing, worded and shaped as Go's router has them."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        headers = {**_GUESSED, "X-Content-Type-Options": "nosniff"}
        return web.Response(status=404, text="404 page not found\n", headers=headers)
    except web.HTTPMethodNotAllowed:
        return web.Response(status=405)
    except web.HTTPRequestEntityTooLarge as error:
        return _failure(f"{error.text}: send a smaller body", 413)


async def _without_what_go_does_not_send(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    if isinstance(response, web.Response) and not response.body:
        response.headers.pop("Content-Type", None)
