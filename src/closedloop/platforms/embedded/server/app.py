"""The server: a request in, an object, a list, a stream or a Status out."""

import asyncio
import hmac

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.kinds import table as kinds
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server import (
    changing,
    discovery,
    platform_verbs,
    podlogs,
    reading,
    requests,
)
from closedloop.platforms.embedded.server.errors import Refusal, not_found, success
from closedloop.platforms.embedded.server.mirror import Mirror
from closedloop.platforms.embedded.server.store import Object, Store, key_in
from closedloop.platforms.embedded.server.writing import Deletion, Writer

_log = structlog.get_logger(__name__)

_MAX_BODY = 64 << 20
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# An empty OpenAPI document of version 2 in protobuf: kubectl asks for nothing else.
_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class Server:
    """Answers requests about one platform, with the objects in `store`."""

    def __init__(self, platform: Controller, token: str, stop: asyncio.Event) -> None:
        self.store = Store()
        self.mirror = Mirror(platform, self.store)
        self._platform = platform
        self._token = token
        self._stop = stop
        self._writer = Writer(platform, self.store, self.mirror)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_guard(self._token), _errors], client_max_size=_MAX_BODY)
        platform_verbs.add_to(app, self._platform, self._writer, self._stop)
        app.router.add_post(_REVIEW, _review)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.mirror.refresh()
        target = requests.target(request.path)
        if target is None:
            return self._about(request)
        kind = kinds.find(target.group, target.version, target.plural, self._installed)
        if kind is None:
            raise Refusal(404, "the server could not find the requested resource")
        if target.subresource:
            return await self._subresource(request, kind, target)
        if target.name:
            return await self._object(request, kind, target)
        return await self._collection(request, kind, target)

    @property
    def _installed(self) -> set[str]:
        return self._platform.installation.installed

    def _about(self, request: web.Request) -> web.StreamResponse:
        """Discovery, and whether the server is well."""
        known = kinds.available(self._installed)
        path = request.path.rstrip("/")
        found: Object | None
        match path.strip("/").split("/"):
            case ["version"]:
                found = discovery.version()
            case ["healthz" | "livez" | "readyz", *_]:
                return web.Response(text="ok")
            case ["api"]:
                found = discovery.core_versions(request.host)
            case ["apis"]:
                found = discovery.groups(known)
            case ["api", version]:
                found = discovery.resources(known, "", version)
            case ["apis", group]:
                found = discovery.group(known, group)
            case ["apis", group, version]:
                found = discovery.resources(known, group, version)
            case ["openapi", "v2"]:
                if "protobuf" in request.headers.get("Accept", ""):
                    return web.Response(body=b"", headers={"Content-Type": _OPENAPI_V2})
                info = {"title": "closedloop", "version": "v1"}
                found = {"swagger": "2.0", "info": info, "paths": {}}
            case ["openapi", "v3"]:
                found = discovery.openapi_index(known)
            case ["openapi", "v3", *rest]:
                found = discovery.openapi_document(known, "/".join(rest))
            case _:
                found = None
        if found is None:
            raise Refusal(404, "the server could not find the requested resource")
        return web.json_response(found)

    async def _collection(
        self, request: web.Request, kind: Kind, target: requests.Target
    ) -> web.StreamResponse:
        query = request.query
        match request.method:
            case "GET" if requests.is_set(query, "watch"):
                return await reading.watch(request, self.store, kind, target.namespace)
            case "GET":
                return web.json_response(
                    reading.listed(request, self.store, kind, target.namespace)
                )
            case "POST" if "create" in kind.verbs:
                new = changing.named(kind, requests.thing(await requests.body(request)))
                if kind.namespaced:
                    new["metadata"].setdefault("namespace", target.namespace or "default")
                    _same_namespace(new, target.namespace)
                made = await self._writer.create(
                    kind, new, _manager(request), dry_run=requests.dry_run(query)
                )
                return web.json_response(reading.one(request, kind, made), status=201)
            case "DELETE" if "deletecollection" in kind.verbs:
                how = _deletion(await requests.body(request), request)
                matches = reading.chosen(query, kind, target.namespace)
                gone = [thing for thing in self.store.of_kind(kind.kind) if matches(thing)]
                for thing in gone:
                    own = thing["metadata"]
                    key = key_in(kind, own.get("namespace", ""), own["name"])
                    await self._writer.delete(kind, key, how)
                return web.json_response(success({"kind": kind.plural, "group": kind.group}))
        raise _not_allowed(request, kind)

    async def _object(
        self, request: web.Request, kind: Kind, target: requests.Target
    ) -> web.StreamResponse:
        key = key_in(kind, target.namespace, target.name)
        there = self.store.get(key)
        dry_run = requests.dry_run(request.query)
        match request.method:
            case "GET":
                if there is None:
                    raise not_found(kind.resource, target.name)
                return web.json_response(reading.one(request, kind, there))
            case "PUT" if "update" in kind.verbs:
                body = await requests.body(request)
                change = changing.replaced(kind, key, body, _manager(request))
            case "PATCH" if "patch" in kind.verbs:
                body = await requests.body(request)
                change = changing.patched(
                    kind, key, body, request.content_type, _manager(request), request.query
                )
            case "DELETE" if "delete" in kind.verbs:
                how = _deletion(await requests.body(request), request)
                gone = await self._writer.delete(kind, key, how)
                own = gone["metadata"]
                if "deletionTimestamp" in own and self.store.get(key) is not None:
                    return web.json_response(gone)
                details = {"name": own["name"], "kind": kind.plural, "uid": own["uid"]}
                return web.json_response(success({**details, "group": kind.group}))
            case _:
                raise _not_allowed(request, kind)
        new = await self._writer.change(kind, key, change, dry_run=dry_run)
        status = 201 if there is None else 200
        return web.json_response(reading.one(request, kind, new), status=status)

    async def _subresource(
        self, request: web.Request, kind: Kind, target: requests.Target
    ) -> web.StreamResponse:
        if target.subresource not in kind.subresources:
            raise Refusal(404, "the server could not find the requested resource")
        key = key_in(kind, target.namespace, target.name)
        there = self.store.get(key)
        if there is None:
            raise not_found(kind.resource, target.name)
        if target.subresource == "log":
            live = self.mirror.pods[key]
            return await podlogs.answer(
                request, target.name, live, lambda: self.mirror.pods.get(key) is live
            )
        if request.method == "GET":
            found = changing.scale_of(there) if target.subresource == "scale" else there
            return web.json_response(found)
        if target.subresource == "scale" and request.method in ("PUT", "PATCH"):
            change = changing.scaled(kind, key, await requests.body(request), _manager(request))
            dry_run = requests.dry_run(request.query)
            return web.json_response(
                changing.scale_of(await self._writer.change(kind, key, change, dry_run=dry_run))
            )
        raise _not_allowed(request, kind)


def _guard(token: str) -> Middleware:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            return web.json_response(Refusal(401, "Unauthorized").status(), status=401)
        return await handler(request)

    return guard


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return web.json_response(refusal.status(), status=refusal.code)
    except web.HTTPException as error:
        found = Refusal(error.status, error.text or error.reason)
        return web.json_response(found.status(), status=error.status)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        _log.exception("request cannot be understood", path=request.path)
        found = Refusal(400, f"the request cannot be understood: {type(error).__name__}: {error}")
        return web.json_response(found.status(), status=400)


async def _review(request: web.Request) -> web.Response:
    """Let any request through that has the token."""
    body: object = None
    # Clients in Go send protobuf, of which nothing is needed here.
    if "protobuf" not in request.content_type:
        body = await requests.body(request)
    review = requests.thing(body or {"metadata": {}})
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = {"spec": {}, **review, **kind, "status": {"allowed": True}}
    return web.json_response(answer, status=201)


def _manager(request: web.Request) -> str:
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0]
    return request.query.get("fieldManager") or agent


def _deletion(body: object, request: web.Request) -> Deletion:
    """How to delete, from the body and the query. Raises `Refusal`."""
    options = body if isinstance(body, dict) else {}
    query = request.query
    policy = options.get("propagationPolicy") or query.get("propagationPolicy")
    if policy == "Orphan" or options.get("orphanDependents"):
        raise Refusal(422, "propagationPolicy Orphan is not supported: dependents are deleted too")
    grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    only = options.get("preconditions") or {}
    dry_run = "All" in (options.get("dryRun") or ()) or requests.dry_run(query)
    return Deletion(
        uid=only.get("uid") or "",
        version=only.get("resourceVersion") or "",
        grace=None if grace is None else int(grace),
        dry_run=dry_run,
    )


def _same_namespace(new: Object, namespace: str) -> None:
    own = new["metadata"]["namespace"]
    if namespace and own != namespace:
        raise Refusal(
            400,
            f"the namespace of the object ({own}) is not that of the request ({namespace})",
        )


def _not_allowed(request: web.Request, kind: Kind) -> Refusal:
    return Refusal(
        405,
        f"{request.method} is not supported for {kind.resource}"
        + ("" if "create" in kind.verbs else ": the platform alone writes them"),
    )
