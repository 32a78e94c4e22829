"""A cluster's API server for tests: the embedded platform's own, with any object, faults and roles.

Objects, versions, watches, selectors, discovery and the ownership of fields are
the product's; what a cluster's controllers, users and failures do is here.
"""

import asyncio
import copy
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from aiohttp import ClientSession, web

from closedloop.platforms.embedded.kinds.table import BY_NAME, KINDS, Kind
from closedloop.platforms.embedded.server import discovery, reading, requests
from closedloop.platforms.embedded.server.errors import Refusal, not_found, success
from closedloop.platforms.embedded.server.patching.apply import apply, update
from closedloop.platforms.embedded.server.patching.strategic import merge_json
from closedloop.platforms.embedded.server.store import Changed, Key, Object, Store
from tests.platforms.cluster.portforward import portforward
from tests.platforms.cluster.rbac import Role, asked_by, permits, reviewed

T = TypeVar("T")

_TIME = "2026-01-01T00:00:00Z"


@dataclass
class Fault:
    """Answered instead of the real thing, `times` times, where method and path match."""

    method: str
    path: str
    status: int
    message: str
    times: int = 1


@dataclass
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    body: Any


class _Store(Store):
    """Can forget what happened before a version."""

    forgotten = 0

    def since(self, version: int) -> list[Changed]:
        if version < self.forgotten:
            raise Refusal(410, "too old resource version")
        return super().since(version)


@dataclass
class FakeApi:
    """Objects may be looked at and changed through `put` and `remove` from the test's thread.

    With `controllers` a workload, definition or custom resource is ready as
    soon as it exists, and a namespace takes what is in it along. With `roles`
    whoever asks has these and no other rights. `on_change` is told of every
    change of an object: its name, and whether it is gone now.
    """

    controllers: bool = True
    groups: set[str] = field(default_factory=lambda: {one.api_version for one in KINDS})
    denied: set[tuple[str, str]] = field(default_factory=set)
    roles: list[Role] | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    service_ports: dict[str, int] = field(default_factory=dict)
    pod_ports: dict[tuple[str, int], int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    git_version: str = "v1.35.8"
    url: str = ""
    on_change: Callable[[Key, bool], None] = lambda *_: None
    _store: _Store = field(default_factory=lambda: _Store(lambda: _TIME))
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    @contextmanager
    def running(self, folder: Path) -> Iterator[Path]:
        """Serves, and gives a kubeconfig with the contexts `test` and `kind-closedloop`."""
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(started)), daemon=True
        )
        self._thread.start()
        assert started.wait(60)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(self.kubeconfig()))
        try:
            yield kubeconfig
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)

    def kubeconfig(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "t"}}],
            "contexts": [
                {"name": name, "context": {"cluster": "fake", "user": "fake"}}
                for name in ("test", "kind-closedloop")
            ],
            "current-context": "test",
        }

    # For tests.

    @property
    def objects(self) -> dict[Key, Object]:
        """Every object by kind, namespace and name."""

        async def found() -> dict[Key, Object]:
            there = {key: self._store.get(key) for key in self._store.all_keys()}
            return {key: each for key, each in there.items() if each is not None}

        return self._do(found())

    def put(self, thing: Object, manager: str = "someone") -> Object:
        """Create or replace an object as somebody else."""

        async def put() -> Object:
            kind = BY_NAME[thing["kind"]]
            new = copy.deepcopy(thing)
            if kind.namespaced:
                new["metadata"].setdefault("namespace", "default")
            key = _key(kind, new["metadata"].get("namespace", ""), new["metadata"]["name"])
            there = self._store.get(key)
            return self._keep(key, update(there, new, manager, custom=kind.is_custom, time=_TIME))

        return copy.deepcopy(self._do(put()))

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        async def remove() -> None:
            self._drop((kind, namespace, name))

        self._do(remove())

    def compact(self) -> None:
        """Forget what happened: a watch from before is answered with 410 Gone."""
        self._store.forgotten = self._store.version

    def fail(self, method: str, path: str, status: int, message: str, times: int = 1) -> None:
        self.faults.append(Fault(method, path, status, message, times))

    def changes(self) -> list[Request]:
        """What was asked that changes something."""
        return [
            each
            for each in self.requests
            if each.method != "GET"
            and "accessreviews" not in each.path
            and "dryRun" not in each.query
        ]

    def names(self, kind: str) -> set[str]:
        return {key[2] for key in self.objects if key[0] == kind}

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """In the thread of the server, which alone touches objects."""
        if self._loop is None or threading.current_thread() is self._thread:
            try:
                work.send(None)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # of the coroutine
            raise AssertionError("it must not wait")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    # The server.

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        through = "/proxy/" in request.path
        body = None if through else await requests.body(request)
        self.requests.append(Request(request.method, request.path, request.query, body or {}))
        try:
            self._refuse(request)
            if through:
                return await self._proxy(request)
            if request.path.endswith("/portforward"):
                return await portforward(request, self.pod_ports)
            if request.path.endswith("/log"):
                return self._log(request)
            if request.path.endswith("/selfsubjectaccessreviews"):
                asked = (body or {})["spec"]["resourceAttributes"]
                may = (asked["verb"], asked["resource"]) not in self.denied
                if self.roles is not None:
                    may = permits(self.roles, reviewed(asked))
                return web.json_response({"status": {"allowed": may}})
            return await self._answer(request, body)
        except Refusal as refusal:
            return web.json_response(refusal.status(), status=refusal.code)

    def _refuse(self, request: web.Request) -> None:
        for fault in self.faults:
            if (
                fault.times
                and fault.method == request.method
                and re.search(fault.path, request.path_qs)
            ):
                fault.times -= 1
                raise Refusal(fault.status, fault.message)
        asked = asked_by(request.method, request.path, request.query)
        if self.roles is not None and asked is not None and not permits(self.roles, asked):
            raise Refusal(
                403,
                f'{asked.resource} "{asked.name}" is forbidden: User "owner" cannot {asked.verb}'
                f' resource "{asked.resource}" in the namespace "{asked.namespace}"',
            )

    async def _answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        known = [one for one in KINDS if one.api_version in self.groups]
        target = requests.target(request.path)
        if target is None:
            return web.json_response(self._discovered(request.path, known))
        where = (target.group, target.version, target.plural)
        kind = next((one for one in known if (one.group, one.version, one.plural) == where), None)
        if kind is None:
            raise Refusal(404, "the server could not find the requested resource")
        if request.method == "GET" and not target.name:
            if requests.is_set(request.query, "watch"):
                return await reading.watch(request, self._store, kind, target.namespace)
            found = reading.listed(request, self._store, kind, target.namespace)
            # As a cluster does: the items of a list do not say what they are.
            bare = ({k: v for k, v in one.items() if k not in _NAMED} for one in found["items"])
            return web.json_response({**found, "items": list(bare)})
        name = target.name or body["metadata"]["name"]
        key = _key(kind, target.namespace, name)
        there = self._store.get(key)
        if request.method == "DELETE":
            if there is None:
                raise not_found(kind.resource, name)
            wanted = (body or {}).get("preconditions", {}).get("uid")
            if wanted and wanted != there["metadata"]["uid"]:
                raise Refusal(409, "the UID in the precondition does not match")
            self._drop(key)
            return web.json_response(success({"name": name}))
        if request.method != "GET":
            new = self._changed(request, kind, key, there, body)
            made = there is None
            there = new if "dryRun" in request.query else self._keep(key, new)
            return web.json_response(there, status=201 if made else 200)
        if there is None:
            raise not_found(kind.resource, name)
        return web.json_response(there)

    def _discovered(self, path: str, known: list[Kind]) -> Object:
        match path.strip("/").split("/"):
            case ["version"]:
                return {**discovery.version(), "gitVersion": self.git_version}
            case ["api"]:
                return discovery.core_versions("127.0.0.1")
            case ["apis"]:
                return discovery.groups(known)
            case ["api", version]:
                found = discovery.resources(known, "", version)
            case ["apis", group, version]:
                found = discovery.resources(known, group, version)
            case _:
                found = None
        if found is None:
            raise Refusal(404, "the server could not find the requested resource")
        return found

    def _changed(
        self, request: web.Request, kind: Kind, key: Key, there: Object | None, body: Any
    ) -> Object:
        """What a POST, PUT or PATCH makes of an object."""
        manager = request.query.get("fieldManager", "unknown")
        if kind.namespaced and ("Namespace", "", key[1]) not in self._store.all_keys():
            raise Refusal(404, f'namespaces "{key[1]}" not found')
        new: Object = {**copy.deepcopy(body), "apiVersion": kind.api_version, "kind": kind.kind}
        if kind.namespaced:
            new["metadata"] = {**new.get("metadata", {}), "namespace": key[1]}
        if request.content_type.startswith("application/apply-patch"):
            force = requests.is_set(request.query, "force")
            return apply(there, new, manager, force=force, custom=kind.is_custom, time=_TIME)
        if request.method == "POST":
            if there is not None:
                raise Refusal(409, f'{kind.resource} "{key[2]}" already exists')
        elif there is None:
            raise not_found(kind.resource, key[2])
        elif request.method == "PATCH":
            new = merge_json(there, body)
        else:
            version = new["metadata"].get("resourceVersion")
            if version and version != there["metadata"]["resourceVersion"]:
                raise Refusal(409, "the object has been modified; please apply your changes")
        return update(there, new, manager, custom=kind.is_custom, time=_TIME)

    def _keep(self, key: Key, new: Object) -> Object:
        before = self._store.get(key)
        fresh = before is None or before.get("spec") != new.get("spec")
        if self.controllers and (fresh or "status" not in new):
            generation = before["metadata"].get("generation", 0) if before else 0
            ready = _ready(new, generation + fresh)
            if ready is not None and not (before is None and "status" in new):
                new = {**new, "status": ready}
        kept = self._store.put(new)
        if kept is not before:
            self.on_change(key, False)
        return kept

    def _drop(self, key: Key) -> None:
        if self._store.remove(key) is None:
            return
        self.on_change(key, True)
        if key[0] == "Namespace" and self.controllers:
            for other in [each for each in self._store.all_keys() if each[1] == key[2]]:
                self._drop(other)

    def _log(self, request: web.Request) -> web.Response:
        name = f"{request.path.split('/')[-2]}/{request.query.get('container')}"
        if request.query.get("previous"):
            name += "/previous"
        if name not in self.logs:
            raise Refusal(400, f"container {name} has no log")
        return web.Response(text=self.logs[name])

    async def _proxy(self, request: web.Request) -> web.Response:
        """To the port of this machine that stands for a Service's, without the user's password."""
        service, _, rest = request.path.partition("/services/")[2].partition("/proxy")
        kept = {k: v for k, v in request.headers.items() if k.lower() not in _STAYS_HERE}
        url = f"http://127.0.0.1:{self.service_ports[service]}{rest}"
        sent = await request.read()
        async with (
            ClientSession() as session,
            session.request(request.method, url, data=sent, headers=kept) as answer,
        ):
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in _STAYS_HERE}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)


_NAMED = {"apiVersion", "kind"}
_STAYS_HERE = {"authorization", "host", "content-length", "transfer-encoding", "content-type"}
_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def _key(kind: Kind, namespace: str, name: str) -> Key:
    return kind.kind, (namespace or "default") if kind.namespaced else "", name


def _ready(thing: Object, generation: int) -> Object | None:
    """The status that a cluster's controllers write once everything is well."""
    kind = thing.get("kind")
    wanted = (thing.get("spec") or {}).get("replicas", 1)
    if kind == "Deployment":
        return {"observedGeneration": generation, **dict.fromkeys(_COUNTS, wanted)}
    if kind == "StatefulSet":
        return {"observedGeneration": generation, **dict.fromkeys(_COUNTS[:3], wanted)}
    if kind == "CustomResourceDefinition":
        return {"conditions": [{"type": "Established", "status": "True"}]}
    if kind in {"Broker", "Trigger", "SeldonDeployment"}:
        return {"conditions": [{"type": "Ready", "status": "True"}]}
    return None
