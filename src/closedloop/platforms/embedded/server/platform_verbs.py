"""The verbs of a platform that Kubernetes has no word for: `/closedloop/…`.

A refusal is status 422 with `{"error": "one sentence"}`.
"""

import asyncio
from pathlib import Path

from aiohttp import web

from closedloop.manifests import ManifestError
from closedloop.platforms.client.own_models import Source
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.server import requests
from closedloop.platforms.embedded.server.writing import Writer
from closedloop.platforms.protocol import PlatformError


def add_to(app: web.Application, platform: Controller, writer: Writer, stop: asyncio.Event) -> None:
    """Add the routes; `POST /closedloop/down` sets `stop`."""

    async def ping(_: web.Request) -> web.Response:
        return web.json_response({})

    async def install(request: web.Request) -> web.Response:
        body = requests.thing(await requests.body(request))
        try:
            await platform.install(str(body.get("part")), body.get("elasticsearch_url") or "")
            await writer.aim_again()
        except (PlatformError, ManifestError) as error:
            return _refused(error)
        return web.json_response([])

    async def build(request: web.Request) -> web.Response:
        body = requests.thing(await requests.body(request))
        source = Source(Path(body["folder"]), str(body["image"]), str(body["lock"]))
        try:
            await platform.models.build(source)
        except PlatformError as error:
            return _refused(error)
        return web.json_response([])

    async def url(request: web.Request) -> web.Response:
        service, port = request.query.get("service", ""), request.query.get("port")
        try:
            return web.json_response(platform.urls.find(service, port, platform.services()))
        except PlatformError as error:
            return _refused(error)

    async def down(_: web.Request) -> web.Response:
        stop.set()
        return web.json_response({})

    app.router.add_get("/closedloop/ping", ping)
    app.router.add_post("/closedloop/install", install)
    app.router.add_post("/closedloop/build", build)
    app.router.add_get("/closedloop/url", url)
    app.router.add_post("/closedloop/down", down)


def _refused(error: Exception) -> web.Response:
    return web.json_response({"error": str(error)}, status=422)
