"""The broker's HTTP interface: Knative's ingress, and the platform's own paths beside it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog
from aiohttp import web

from closedloop.platforms.embedded.broker import attempt
from closedloop.platforms.embedded.broker.broker import Broker, UnknownTrigger
from closedloop.platforms.embedded.broker.cloudevent import InvalidCloudEvent, from_http
from closedloop.platforms.embedded.broker.config import InvalidConfig, read
from closedloop.platforms.embedded.broker.store import EventTooLarge, Store, StoreUnavailable
from closedloop.services.kit import service

BROKER: web.AppKey[Broker] = web.AppKey("broker", Broker)

# NATS sets the limit that counts; this one keeps a sender from filling the memory. An
# event in structured mode may be a third longer than its stored form.
_MAX_BODY = 32 << 20

_ALLOW = {"Allow": "POST, OPTIONS"}
_WEBHOOK = {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}

_log = structlog.get_logger(__name__)


def create_app(store_of: Callable[[], Store], config_file: Path) -> web.Application:
    """The application; connection and deliveries live as long as it runs.

    `store_of` is called inside the event loop. Raises OSError and
    `InvalidConfig` when the configuration cannot be used.
    """
    read(config_file)
    app = web.Application(client_max_size=_MAX_BODY)

    async def serve(app: web.Application) -> AsyncIterator[None]:
        async with attempt.session() as client:
            broker = app[BROKER] = Broker(store_of(), config_file, client)
            broker.start()
            yield
            await broker.stop()

    app.cleanup_ctx.append(serve)
    service.add_health(app, lambda: app[BROKER].why_not_ready())
    app.router.add_get("/-/status", _status)
    app.router.add_post("/-/reload", _reload)
    app.router.add_post("/-/replay", _replay)
    app.router.add_route("*", "/{path:.*}", _ingress)
    return app


async def _ingress(request: web.Request) -> web.Response:
    """`POST /<namespace>/<broker>`, in the order in which Knative's ingress looks at it."""
    broker = request.app[BROKER]
    if request.method == "OPTIONS":
        return web.Response(headers={**_ALLOW, **_WEBHOOK})
    if request.method != "POST":
        return _refuse(broker, 405, "method", f"method {request.method} is not allowed: POST")
    path = request.raw_path
    if path == "/":
        return _refuse(broker, 404, "unknown_broker", "no broker is named: POST /namespace/broker")
    path = path.removesuffix("/")
    if path.count("/") != 2:
        return _refuse(broker, 400, "bad_path", f"path is {path!r}: POST /namespace/broker")
    try:
        body = await request.read()
        event = from_http(request.headers, body)
        name = path[1:]
        if not broker.has(name):
            return _refuse(
                broker, 404, "unknown_broker", f"there is no broker {name!r}: create it first"
            )
        await broker.accept(name, event)
    except web.HTTPRequestEntityTooLarge:
        text = f"the body is larger than {_MAX_BODY} bytes: send a smaller one"
        return _refuse(broker, 413, "too_large", text)
    except web.RequestPayloadError as error:
        text = f"the body cannot be read ({' '.join(str(error).split())}): send it again"
        return _refuse(broker, 400, "malformed", text)
    except InvalidCloudEvent as error:
        return _refuse(broker, 400, error.reason, str(error))
    except EventTooLarge as error:
        return _refuse(broker, 413, "too_large", str(error))
    except StoreUnavailable as error:
        return _refuse(broker, 503, "store", str(error))
    return web.Response(status=202, headers=_ALLOW)


def _refuse(broker: Broker, status: int, reason: str, sentence: str) -> web.Response:
    broker.counts.refused[reason] += 1
    text = sentence.encode("utf-8", "replace").decode()
    _log.warning("refused", reason=reason, status=status, error=text)
    return web.Response(status=status, text=text, headers=_ALLOW)


async def _status(request: web.Request) -> web.Response:
    return web.json_response(request.app[BROKER].status())


async def _reload(request: web.Request) -> web.Response:
    try:
        await request.app[BROKER].reload()
    except InvalidConfig as error:
        return web.Response(status=400, text=str(error))
    except OSError as error:
        return web.Response(status=500, text=f"the configuration cannot be read: {error}")
    except StoreUnavailable as error:
        return web.Response(status=503, text=str(error))
    return web.Response()


async def _replay(request: web.Request) -> web.Response:
    name = request.query.get("trigger", "")
    if not name:
        return web.Response(status=400, text="no trigger is named: add ?trigger=namespace/name")
    try:
        events = await request.app[BROKER].replay(name)
    except UnknownTrigger as error:
        return web.Response(status=404, text=error.args[0])
    except StoreUnavailable as error:
        return web.Response(status=503, text=str(error))
    return web.json_response({"trigger": name, "events": events}, status=202)
