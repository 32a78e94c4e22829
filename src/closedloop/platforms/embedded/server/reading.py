"""Getting, listing and watching objects, in the form that the client accepts."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server import selectors, tables
from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.requests import is_set
from closedloop.platforms.embedded.server.store import Changed, Object, Store

_LONGEST = 3600.0  # seconds of a watch for which none are given
_BOOKMARK = 60.0
_INITIAL_END = {"k8s.io/initial-events-end": "true"}

Form = Callable[[list[Object], str], Object]


def form(request: web.Request, kind: Kind) -> Form:
    """How a client wants objects: as they are, as rows of a table, or their metadata alone."""
    accept = request.headers.get("Accept", "")
    for wanted in accept.split(","):
        if "as=Table" in wanted:
            include = request.query.get("includeObject", "Metadata")
            return lambda items, version: tables.table(kind, items, version, include)
        if "as=PartialObjectMetadataList" in wanted or "as=PartialObjectMetadata" in wanted:
            return lambda items, version: {
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadataList",
                "metadata": {"resourceVersion": version},
                "items": [tables.partial(one) for one in items],
            }
        if "json" in wanted or "*/*" in wanted:
            break
    return lambda items, version: {
        "apiVersion": kind.api_version,
        "kind": f"{kind.kind}List",
        "metadata": {"resourceVersion": version},
        "items": items,
    }


def one(request: web.Request, kind: Kind, thing: Object) -> Object:
    """One object in the form that the client accepts."""
    accept = request.headers.get("Accept", "").split(",")[0]
    if "as=Table" in accept:
        version = thing["metadata"]["resourceVersion"]
        return form(request, kind)([thing], version)
    if "as=PartialObjectMetadata" in accept:
        return tables.partial(thing)
    return thing


def chosen(query: Mapping[str, str], kind: Kind, namespace: str) -> selectors.Matches:
    """Which objects a query selects. Raises `Refusal`."""
    by_label = selectors.labels(query.get("labelSelector", ""))
    by_field = selectors.fields(query.get("fieldSelector", ""), kind.kind)

    def matches(thing: Mapping[str, Any]) -> bool:
        inside = not namespace or thing["metadata"].get("namespace") == namespace
        return inside and by_label(thing) and by_field(thing)

    return matches


def listed(request: web.Request, store: Store, kind: Kind, namespace: str) -> Object:
    """The list that a query asks for, always on one page."""
    matches = chosen(request.query, kind, namespace)
    items = [thing for thing in store.of_kind(kind.kind) if matches(thing)]
    return form(request, kind)(items, str(store.version))


async def watch(
    request: web.Request, store: Store, kind: Kind, namespace: str
) -> web.StreamResponse:
    """Tell a client of changes until its time is over."""
    query = request.query
    matches = chosen(query, kind, namespace)
    follower = _Follower(request, store, kind, matches)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        raise Refusal(400, f"resourceVersion is {version!r}: it must be one that a list gave")
    await response.prepare(request)
    try:
        async with asyncio.timeout(float(query.get("timeoutSeconds") or _LONGEST)):
            await follower.follow(response, int(version or 0))
    except TimeoutError:
        if follower.bookmarks:
            with contextlib.suppress(ConnectionError):
                await follower.bookmark(response)
    except Refusal as refusal:
        with contextlib.suppress(ConnectionError):
            await _write(response, "ERROR", refusal.status())
    except ConnectionError:
        pass  # the client has gone
    return response


class _Follower:
    """One watch."""

    def __init__(
        self, request: web.Request, store: Store, kind: Kind, matches: selectors.Matches
    ) -> None:
        self.bookmarks = is_set(request.query, "allowWatchBookmarks")
        self._initial = is_set(request.query, "sendInitialEvents")
        self._request = request
        self._store = store
        self._kind = kind
        self._matches = matches
        self._version = 0
        self._first = True  # only the first table says which columns it has

    async def follow(self, response: web.StreamResponse, version: int) -> None:
        self._version = version
        if version == 0 or self._initial:
            self._version = self._store.version
            for thing in self._store.of_kind(self._kind.kind):
                if self._matches(thing):
                    await self._tell(response, "ADDED", thing)
            if self._initial:
                await self.bookmark(response, _INITIAL_END)
        while True:
            for change in self._store.since(self._version):
                self._version = change.version
                if told := self._seen(change):
                    await self._tell(response, told, change.now)
            self._version = max(self._version, self._store.version)
            try:
                async with asyncio.timeout(_BOOKMARK):
                    await self._store.after(self._version)
            except TimeoutError:
                if self.bookmarks:
                    await self.bookmark(response)

    def _seen(self, change: Changed) -> str:
        """The type of a change to a watch with a selector; empty if it does not concern it."""
        if change.key[0] != self._kind.kind:
            return ""
        was = change.before is not None and self._matches(change.before)
        is_now = change.change != "DELETED" and self._matches(change.now)
        if was and is_now:
            return "MODIFIED"
        return "ADDED" if is_now else "DELETED" if was else ""

    async def bookmark(
        self, response: web.StreamResponse, annotations: Mapping[str, str] | None = None
    ) -> None:
        metadata: Object = {"resourceVersion": str(self._version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = dict(annotations)
        thing = {
            "kind": self._kind.kind,
            "apiVersion": self._kind.api_version,
            "metadata": metadata,
        }
        await _write(response, "BOOKMARK", thing)

    async def _tell(self, response: web.StreamResponse, change: str, thing: Object) -> None:
        told = one(self._request, self._kind, thing)
        if told.get("kind") == "Table" and not self._first:
            told = {**told, "columnDefinitions": None}
        self._first = False
        await _write(response, change, told)


async def _write(response: web.StreamResponse, change: str, thing: Object) -> None:
    event = {"type": change, "object": thing}
    await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
