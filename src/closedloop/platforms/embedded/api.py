"""The daemon's control API: JSON over HTTP on a loopback address, behind a bearer token.

A refusal is status 422 with `{"error": "one sentence"}`.
"""

import asyncio
import hmac
from dataclasses import asdict

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.embedded import conditions, view
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.names import key
from closedloop.platforms.embedded.parts.installation import ROWS
from closedloop.platforms.protocol import PlatformError

_log = structlog.get_logger(__name__)

_CONTROLLER: web.AppKey[Controller] = web.AppKey("controller", Controller)
_STOP: web.AppKey[asyncio.Event] = web.AppKey("stop", asyncio.Event)
_MAX_BODY = 64 << 20


def create_app(controller: Controller, token: str, stop: asyncio.Event) -> web.Application:
    """The application; `POST /down` sets `stop`."""
    app = web.Application(middlewares=[_guard(token), _errors], client_max_size=_MAX_BODY)
    app[_CONTROLLER] = controller
    app[_STOP] = stop
    app.router.add_get("/ping", _ping)
    app.router.add_post("/install", _install)
    app.router.add_post("/apply", _apply)
    app.router.add_post("/delete", _delete)
    app.router.add_get("/object", _object)
    app.router.add_get("/objects", _objects)
    app.router.add_post("/wait", _wait)
    app.router.add_post("/restart", _restart)
    app.router.add_get("/url", _url)
    app.router.add_get("/logs", _logs)
    app.router.add_get("/status", _status)
    app.router.add_post("/down", _down)
    return app


def _guard(token: str) -> Middleware:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(text="the bearer token is not this platform's")
        return await handler(request)

    return guard


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (PlatformError, ManifestError) as error:
        return web.json_response({"error": str(error)}, status=422)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # The client is ours: what it sends wrong is a fault to be seen in the daemon's log.
        _log.exception("request cannot be understood", path=request.path)
        return web.json_response({"error": f"bad request to {request.path}: {error}"}, status=400)


async def _ping(_: web.Request) -> web.Response:
    return web.Response()


async def _install(request: web.Request) -> web.Response:
    body = await request.json()
    controller = request.app[_CONTROLLER]
    await controller.install(body["part"], body.get("elasticsearch_url", ""))
    rows = [row for row in view.rows(controller) if row.part in ROWS[body["part"]]]
    return web.json_response([asdict(row) for row in rows])


async def _apply(request: web.Request) -> web.Response:
    body = await request.json()
    manifests = [_manifest(one) for one in body["manifests"]]
    return web.json_response(await request.app[_CONTROLLER].apply(manifests))


def _manifest(one: object) -> Manifest:
    match one:
        case {
            "source": str(source),
            "document": {"kind": str(), "metadata": {"name": str()}} as document,
        }:
            return Manifest(source, document)
    raise ValueError("a manifest has a source, and a document with kind and metadata.name")


async def _delete(request: web.Request) -> web.Response:
    body = await request.json()
    return web.json_response(await request.app[_CONTROLLER].delete(body["keys"]))


async def _object(request: web.Request) -> web.Response:
    kind, name = request.query["kind"], request.query["name"]
    namespace = request.query.get("namespace", "")
    one = view.find(request.app[_CONTROLLER], kind, name, namespace)
    if one is None:
        raise PlatformError(f"there is no {key(kind, name, namespace)}: apply it first")
    return web.json_response(one)


async def _objects(request: web.Request) -> web.Response:
    query = request.query
    found = view.every(request.app[_CONTROLLER], query["kind"], query.get("namespace", ""))
    return web.json_response(found)


async def _wait(request: web.Request) -> web.Response:
    body = await request.json()
    one = await conditions.wait(
        request.app[_CONTROLLER],
        body["kind"],
        body["name"],
        body["namespace"],
        body["condition"],
        float(body["timeout"]),
    )
    return web.json_response(one)


async def _restart(request: web.Request) -> web.Response:
    body = await request.json()
    await request.app[_CONTROLLER].restart(body["part"], kill=bool(body["kill"]))
    return web.json_response(None)


async def _url(request: web.Request) -> web.Response:
    controller = request.app[_CONTROLLER]
    port = request.query.get("port")
    url = controller.urls.find(request.query["service"], port, controller.services())
    return web.json_response(url)


async def _logs(request: web.Request) -> web.Response:
    query = request.query
    text = view.log(request.app[_CONTROLLER], query["part"], int(query["lines"]))
    return web.json_response(text)


async def _status(request: web.Request) -> web.Response:
    return web.json_response([asdict(row) for row in view.rows(request.app[_CONTROLLER])])


async def _down(request: web.Request) -> web.Response:
    request.app[_STOP].set()
    return web.json_response(None)
