"""An API server for tests, over real HTTP: objects, watches, server-side apply, faults on demand.

kmock has no field ownership, which is half of what is tested here; this keeps
a set of paths for each manager, lists being one value.
"""

import asyncio
import copy
import json
import re
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession, WSMsgType, web

from tests.platforms.cluster.rbac import Role, asked_by, permits, reviewed

Object = dict[str, Any]
Key = tuple[str, str, str, str]  # group, plural, namespace, name
Leaves = dict[tuple[str, ...], Any]

# group/version: kind, plural, namespaced
_KINDS: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "v1": (
        ("Namespace", "namespaces", False),
        ("Node", "nodes", False),
        ("ConfigMap", "configmaps", True),
        ("Secret", "secrets", True),
        ("Service", "services", True),
        ("ServiceAccount", "serviceaccounts", True),
        ("Pod", "pods", True),
        ("Event", "events", True),
        ("PersistentVolumeClaim", "persistentvolumeclaims", True),
    ),
    "apps/v1": (
        ("Deployment", "deployments", True),
        ("StatefulSet", "statefulsets", True),
        ("DaemonSet", "daemonsets", True),
        ("ReplicaSet", "replicasets", True),
    ),
    "batch/v1": (("Job", "jobs", True),),
    "storage.k8s.io/v1": (("StorageClass", "storageclasses", False),),
    "networking.k8s.io/v1": (("NetworkPolicy", "networkpolicies", True),),
    "discovery.k8s.io/v1": (("EndpointSlice", "endpointslices", True),),
    "rbac.authorization.k8s.io/v1": (
        ("ClusterRole", "clusterroles", False),
        ("ClusterRoleBinding", "clusterrolebindings", False),
        ("Role", "roles", True),
        ("RoleBinding", "rolebindings", True),
    ),
    "apiextensions.k8s.io/v1": (("CustomResourceDefinition", "customresourcedefinitions", False),),
    "networking.istio.io/v1": (
        ("Gateway", "gateways", True),
        ("VirtualService", "virtualservices", True),
        ("DestinationRule", "destinationrules", True),
    ),
    "monitoring.coreos.com/v1": (
        ("PodMonitor", "podmonitors", True),
        ("ServiceMonitor", "servicemonitors", True),
        ("PrometheusRule", "prometheusrules", True),
    ),
    "machinelearning.seldon.io/v1": (("SeldonDeployment", "seldondeployments", True),),
    "eventing.knative.dev/v1": (("Broker", "brokers", True), ("Trigger", "triggers", True)),
}


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


@dataclass
class FakeApi:
    """`objects` may be looked at and changed through `put` and `remove` from the test's thread.

    With `controllers` a workload, definition or custom resource is ready as
    soon as it exists, and a namespace takes what is in it along. With `roles`
    whoever asks has these and no other rights.
    """

    controllers: bool = True
    groups: set[str] = field(default_factory=lambda: set(_KINDS))
    denied: set[tuple[str, str]] = field(default_factory=set)
    roles: list[Role] | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    objects: dict[Key, Object] = field(default_factory=dict)
    service_ports: dict[str, int] = field(default_factory=dict)
    pod_ports: dict[tuple[str, int], int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    git_version: str = "v1.35.8"
    url: str = ""
    _owned: dict[Key, dict[str, Leaves]] = field(default_factory=dict)
    _history: list[tuple[int, str, Key, Object]] = field(default_factory=list)
    _version: int = 100
    _compacted: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def running(self, folder: Path) -> Iterator[Path]:
        """Serves, and gives a kubeconfig with the contexts `test` and `kind-closedloop`."""
        started = threading.Event()
        stop = threading.Thread(target=self._serve, args=(started,), daemon=True)
        stop.start()
        assert started.wait(60)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(self.kubeconfig()))
        try:
            yield kubeconfig
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._stop.set)
            stop.join(60)

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

    def put(self, thing: Object, manager: str = "someone") -> Object:
        """Create or replace an object as somebody else."""
        with self._lock:
            key = self._key(thing)
            known = copy.deepcopy(thing)
            if key in self.objects:
                known["metadata"]["uid"] = self.objects[key]["metadata"]["uid"]
            self._owned.setdefault(key, {})[manager] = _leaves(_owned_part(known))
            return self._store(key, known)

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        group, plural, _ = self._kind(kind)
        with self._lock:
            return copy.deepcopy(self.objects.get((group, plural, namespace, name)))

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        group, plural, _ = self._kind(kind)
        with self._lock:
            self._drop((group, plural, namespace, name))

    def compact(self) -> None:
        """Forget what happened: a watch from before is answered with 410 Gone."""
        with self._lock:
            self._compacted = self._version
            self._history.clear()

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
        group, plural, _ = self._kind(kind)
        with self._lock:
            return {key[3] for key in self.objects if key[:2] == (group, plural)}

    # The server.

    def _serve(self, started: threading.Event) -> None:
        asyncio.run(self._main(started))

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await self._stop.wait()
        self._changed.set()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        sent = await request.read()
        through = "/proxy/" in request.path
        body: Any = json.loads(sent) if sent and not through else {}
        self.requests.append(Request(request.method, request.path, request.query, body))
        for fault in self.faults:
            if (
                fault.times
                and fault.method == request.method
                and re.search(fault.path, request.path_qs)
            ):
                fault.times -= 1
                return _status(fault.status, fault.message)
        if (refused := self._refused(request)) is not None:
            return refused
        if through:
            return await self._proxy(request, sent)
        if request.path.endswith("/portforward"):
            return await self._portforward(request)
        if request.path.endswith("/log"):
            return self._log(request)
        if (found := self._discovery(request.path)) is not None:
            return web.json_response(found)
        if request.path.endswith("/selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            may = (asked["verb"], asked["resource"]) not in self.denied
            if self.roles is not None:
                may = permits(self.roles, reviewed(asked))
            return web.json_response({"status": {"allowed": may}})
        return await self._objects(request, body)

    def _refused(self, request: web.Request) -> web.Response | None:
        asked = asked_by(request.method, request.path, request.query)
        if self.roles is None or asked is None or permits(self.roles, asked):
            return None
        return _status(
            403,
            f'{asked.resource} "{asked.name}" is forbidden: User "owner" cannot {asked.verb}'
            f' resource "{asked.resource}" in the namespace "{asked.namespace}"',
        )

    async def _proxy(self, request: web.Request, sent: bytes) -> web.Response:
        """To the port of this machine that stands for a Service's, without the user's password."""
        service, _, rest = request.path.partition("/services/")[2].partition("/proxy")
        kept = {k: v for k, v in request.headers.items() if k.lower() not in _STAYS_HERE}
        url = f"http://127.0.0.1:{self.service_ports[service]}{rest}"
        async with (
            ClientSession() as session,
            session.request(request.method, url, data=sent, headers=kept) as answer,
        ):
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in _STAYS_HERE}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    def _discovery(self, path: str) -> Object | None:
        parts = path.strip("/").split("/")
        if path == "/version":
            return {"gitVersion": self.git_version}
        if path == "/apis":
            groups: dict[str, list[Object]] = {}
            for each in self.groups - {"v1"}:
                group, _, version = each.partition("/")
                groups.setdefault(group, []).append({"groupVersion": each, "version": version})
            return {
                "kind": "APIGroupList",
                "groups": [
                    {"name": name, "versions": versions, "preferredVersion": versions[0]}
                    for name, versions in groups.items()
                ],
            }
        wanted = "/".join(parts[1:])
        if (parts[0] == "api" and wanted == "v1") or (parts[0] == "apis" and len(parts) == 3):
            if wanted not in self.groups:
                return None
            return {
                "kind": "APIResourceList",
                "groupVersion": wanted,
                "resources": [
                    {
                        "name": plural,
                        "singularName": kind.lower(),
                        "kind": kind,
                        "namespaced": namespaced,
                        "verbs": ["get", "list", "watch", "patch", "create", "update", "delete"],
                    }
                    for kind, plural, namespaced in _KINDS[wanted]
                ],
            }
        return None

    async def _objects(self, request: web.Request, body: Any) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        group = "" if parts[0] == "api" else parts[1]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        key = group, plural, namespace, name
        if request.method == "GET" and not name:
            if request.query.get("watch"):
                return await self._watch(request, key)
            return self._list(request, key)
        with self._lock:
            if request.method == "POST":
                key = (*key[:3], body["metadata"]["name"])
                if key in self.objects:
                    return _status(409, f'{plural} "{key[3]}" already exists')
                return web.json_response(self._store(key, body), status=201)
            there = self.objects.get(key)
            if request.method == "PATCH" and "apply-patch" in request.content_type:
                return self._apply(request, key, body)
            if there is None:
                return _status(404, f'{plural} "{name}" not found')
            if request.method == "PATCH":
                return web.json_response(self._store(key, _merged(there, body)))
            if request.method == "PUT":
                version = body["metadata"].get("resourceVersion")
                if version and version != there["metadata"]["resourceVersion"]:
                    return _status(409, "the object has been modified; please apply your changes")
                body["metadata"]["uid"] = there["metadata"]["uid"]
                return web.json_response(self._store(key, body))
            if request.method == "DELETE":
                wanted = (body or {}).get("preconditions", {}).get("uid")
                if wanted and wanted != there["metadata"]["uid"]:
                    return _status(409, "the UID in the precondition does not match")
                self._drop(key)
                return web.json_response({"kind": "Status", "status": "Success"})
            return web.json_response(there)

    def _list(self, request: web.Request, key: Key) -> web.Response:
        with self._lock:
            items = [
                {k: v for k, v in each.items() if k not in {"apiVersion", "kind"}}
                for other, each in sorted(self.objects.items())
                if _chosen(other, each, key, request.query)
            ]
            version = str(self._version)
        return web.json_response({"metadata": {"resourceVersion": version}, "items": items})

    async def _watch(self, request: web.Request, key: Key) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        end = loop.time() + float(request.query.get("timeoutSeconds", 5))
        if since < self._compacted:
            gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
            await _write(response, {"type": "ERROR", "object": gone})
            return response
        while loop.time() < end and not self._stop.is_set():
            # Before the history is read, and not cleared by a watch: there may be several.
            changed = self._changed
            with self._lock:
                news = [
                    (version, kind, thing)
                    for version, kind, other, thing in self._history
                    if version > since and _chosen(other, thing, key, request.query)
                ]
                since = max(since, self._version)
            for _, kind, thing in news:
                await _write(response, {"type": kind, "object": thing})
            try:
                await asyncio.wait_for(changed.wait(), max(0.01, end - loop.time()))
            except TimeoutError:
                break
        return response

    def _apply(self, request: web.Request, key: Key, body: Object) -> web.Response:
        manager = request.query["fieldManager"]
        there = self.objects.get(key)
        if key[2] and there is None and ("", "namespaces", "", key[2]) not in self.objects:
            return _status(404, f'namespaces "{key[2]}" not found')
        owned = copy.deepcopy(self._owned.get(key, {}))
        asked = _leaves(_owned_part(body))
        now = _leaves(_owned_part(there)) if there else {}
        conflicts = [
            (other, path)
            for other, paths in owned.items()
            if other != manager
            for path in paths
            if path in asked and now.get(path) != asked[path]
        ]
        if conflicts and request.query.get("force") != "true":
            other, path = conflicts[0]
            return _status(
                409,
                f"Apply failed with {len(conflicts)} conflict: conflict with "
                f'"{other}": .{".".join(path)}',
            )
        for other, path in conflicts:
            owned[other].pop(path, None)
        result = copy.deepcopy(there) if there else {"metadata": {}}
        others = {path for who, paths in owned.items() if who != manager for path in paths}
        for path in set(owned.get(manager, {})) - set(asked) - others:
            _unset(result, path)
        for path, value in asked.items():
            _set(result, path, value)
        result |= {"apiVersion": body["apiVersion"], "kind": body["kind"]}
        result["metadata"]["name"] = key[3]
        if key[2]:
            result["metadata"]["namespace"] = key[2]
        if request.query.get("dryRun"):
            return web.json_response(result)
        self._owned[key] = {**owned, manager: asked}
        if there is not None and result == there:
            return web.json_response(there)
        return web.json_response(self._store(key, result), status=200 if there else 201)

    def _store(self, key: Key, thing: Object) -> Object:
        known = copy.deepcopy(thing)
        before = self.objects.get(key)
        self._version += 1
        metadata = known["metadata"]
        metadata.setdefault("uid", before["metadata"]["uid"] if before else f"uid-{self._version}")
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        if before is None or before.get("spec") != known.get("spec"):
            metadata["generation"] = (before["metadata"]["generation"] if before else 0) + 1
        metadata["resourceVersion"] = str(self._version)
        new = before is None or before.get("spec") != known.get("spec")
        if self.controllers and (new or "status" not in known):
            status = None if before is None and "status" in known else _ready(known)
            known |= {"status": status} if status is not None else {}
        self.objects[key] = known
        self._tell("MODIFIED" if before else "ADDED", key, known)
        return copy.deepcopy(known)

    def _drop(self, key: Key) -> None:
        gone = self.objects.pop(key, None)
        self._owned.pop(key, None)
        if gone is None:
            return
        self._version += 1
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._tell("DELETED", key, gone)
        if key[1] == "namespaces" and self.controllers:
            for other in [each for each in self.objects if each[2] == key[3]]:
                self._drop(other)

    def _tell(self, kind: str, key: Key, thing: Object) -> None:
        self._history.append((self._version, kind, key, copy.deepcopy(thing)))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._announce)

    def _announce(self) -> None:
        told, self._changed = self._changed, asyncio.Event()
        told.set()

    def _log(self, request: web.Request) -> web.Response:
        name = f"{request.path.split('/')[-2]}/{request.query.get('container')}"
        if request.query.get("previous"):
            name += "/previous"
        if name not in self.logs:
            return _status(400, f"container {name} has no log")
        return web.Response(text=self.logs[name])

    async def _portforward(self, request: web.Request) -> web.StreamResponse:
        """The websocket way: channel 2n is data, 2n+1 errors, each begins with the port."""
        pod, port = request.path.split("/")[-2], int(request.query["ports"])
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for channel in (0, 1):
            await socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.pod_ports[pod, port])
        except (KeyError, OSError):
            await socket.send_bytes(b"\x01nothing listens there")
            await socket.close()
            return socket

        async def back() -> None:
            while data := await reader.read(65536):
                await socket.send_bytes(b"\x00" + data)
            await socket.close()

        task = asyncio.create_task(back())
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
                writer.write(message.data[1:])
                await writer.drain()
        writer.close()
        task.cancel()
        return socket

    def _kind(self, kind: str) -> tuple[str, str, bool]:
        for group_version, kinds in _KINDS.items():
            for name, plural, namespaced in kinds:
                if name == kind:
                    group = group_version.rpartition("/")[0]
                    return group, plural, namespaced
        raise AssertionError(f"the fake knows no kind {kind}")

    def _key(self, thing: Object) -> Key:
        group, plural, namespaced = self._kind(thing["kind"])
        metadata = thing["metadata"]
        namespace = metadata.get("namespace", "default") if namespaced else ""
        return group, plural, namespace, metadata["name"]


_STAYS_HERE = {"authorization", "host", "content-length", "transfer-encoding", "content-type"}
_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def _ready(thing: Object) -> Object | None:
    kind, generation = thing.get("kind"), thing["metadata"].get("generation", 1)
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


def _chosen(other: Key, thing: Object, key: Key, query: Mapping[str, str]) -> bool:
    if other[:2] != key[:2] or (key[2] and other[2] != key[2]):
        return False
    fields = query.get("fieldSelector", "")
    if fields and other[3] != fields.removeprefix("metadata.name="):
        return False
    labels = thing["metadata"].get("labels") or {}
    wanted = [pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair]
    return all(labels.get(name) == value for name, value in wanted)


def _owned_part(thing: Object) -> Object:
    metadata = {
        key: value for key, value in thing["metadata"].items() if key in {"labels", "annotations"}
    }
    kept = {
        key: value
        for key, value in thing.items()
        if key not in {"apiVersion", "kind", "metadata", "status"}
    }
    return {**kept, "metadata": metadata}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Leaves:
    if isinstance(value, dict) and value:
        found: Leaves = {}
        for key, child in value.items():
            found |= _leaves(child, (*path, key))
        return found
    return {path: value} if path and value != {} else {}


def _set(thing: Object, path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        thing = thing.setdefault(step, {})
    thing[path[-1]] = copy.deepcopy(value)


def _unset(thing: Object, path: tuple[str, ...]) -> None:
    for step in path[:-1]:
        thing = thing.get(step, {})
    thing.pop(path[-1], None)


def _merged(thing: Object, patch: Object) -> Object:
    result = copy.deepcopy(thing)
    for key, value in patch.items():
        if isinstance(value, dict):
            result[key] = _merged(result.get(key) or {}, value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def _status(code: int, message: str) -> web.Response:
    return web.json_response(
        {"kind": "Status", "status": "Failure", "code": code, "message": message}, status=code
    )


async def _write(response: web.StreamResponse, event: Object) -> None:
    await response.write(json.dumps(event).encode() + b"\n")
