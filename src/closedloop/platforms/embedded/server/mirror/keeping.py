"""Puts into the store what runs, and takes out what no longer does."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from closedloop.loop.rfc3339 import now
from closedloop.manifests import Manifest
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.parts.service_urls import ELASTICSEARCH, without_password
from closedloop.platforms.embedded.pod_events import PodEvents
from closedloop.platforms.embedded.run import network as addresses
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.workload import Workload
from closedloop.platforms.embedded.server.mirror import (
    cluster,
    happenings,
    names,
    network,
    pods,
    statuses,
    workloads,
)
from closedloop.platforms.embedded.server.store import Key, Object, Store, key_of

# What the server writes into metadata of an object that users describe.
_SERVERS = (
    *("uid", "creationTimestamp", "generation", "managedFields"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "finalizers"),
)
_AGAIN = 1.0  # seconds until pods that are not ready are looked at again


class Mirror:
    """Keeps the objects that controllers and kubelet would write.

    `made` are the keys of objects that nobody applied; `pods` are what runs by
    the key of its Pod.
    """

    def __init__(self, platform: Controller, store: Store) -> None:
        self.made: set[Key] = set()
        self.pods: dict[Key, LivePod] = {}
        self.restarted: dict[Key, str] = {}  # workloads of parts, and when
        self._platform = platform
        self._store = store
        self._pod_events = PodEvents(platform.events_of)
        self._events: set[Key] = set()
        self._written: dict[Key, Manifest] = {}
        self._new: set[Key] = set()
        self._ending: dict[str, str] = {}  # pods by uid, and since when they end

    async def run(self) -> None:
        """Follow what runs, until cancelled."""
        seen = -1
        while True:
            waiting = any(not one.ready for one in self._platform.running.pods)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN if waiting else None):
                    seen = await self._platform.changes.after(seen)
            self.look()

    def look(self) -> None:
        """Bring the store to what runs now."""
        self._new = set()
        before = self.pods
        self.pods = {}
        applied = self._user_keys()
        running = (part.namespace for part in self._platform.running.parts.values())
        for thing in cluster.objects(self._platform.installation.installed, running):
            if key_of(thing) not in applied:
                self._make(thing)
        self._users()
        self._parts()
        for one in self._platform.running.workloads.values():
            self._workload(one)
        self._services()
        for key in self.made - self._new:
            if key not in self._user_keys():
                self._store.remove(key)
        self.made = self._new
        gone = {pod.uid for pod in before.values()} - {pod.uid for pod in self.pods.values()}
        for uid in gone:
            self._ending.pop(uid, None)
        self._pod_events.look((f"Pod/{key[1]}/{key[2]}", pod) for key, pod in self.pods.items())
        self._write_events()
        self._finish()

    def _user_keys(self) -> set[Key]:
        return {(one.kind, one.namespace, one.name) for one in self._platform.objects.values()}

    def _users(self) -> None:
        """Objects that were applied, with their status."""
        for manifest in self._platform.objects.values():
            key = (manifest.kind, manifest.namespace, manifest.name)
            there = self._store.get(key)
            if self._written.get(key) is not manifest:
                there = self._write(manifest, there)
            if there is not None:
                self._status(there)
        self._written = {
            (one.kind, one.namespace, one.name): one for one in self._platform.objects.values()
        }

    def _write(self, manifest: Manifest, there: Object | None) -> Object:
        """Keep an object that did not come by this server, or keep what did."""
        document: Object = {k: v for k, v in manifest.document.items() if k != "status"}
        own = (there or {}).get("metadata", {})
        kept = {name: own[name] for name in _SERVERS if name in own}
        status = {"status": there["status"]} if there and "status" in there else {}
        metadata = {**document["metadata"], **kept}
        if manifest.namespace:
            metadata["namespace"] = manifest.namespace
        return self._store.put({**document, "metadata": metadata, **status})

    def _status(self, there: Object) -> Object:
        found = statuses.of(self._platform, there)
        if found is None:
            return there
        if "deletionTimestamp" in there["metadata"] and there["kind"] == "Namespace":
            found = {"phase": "Terminating"}
        return self._with_status(there, found)

    def _with_status(self, there: Object, found: Object) -> Object:
        status = statuses.observed(found, there, there.get("status") or {}, now())
        return self._store.put({**there, "status": status})

    def _make(self, thing: Object) -> Object:
        """Keep an object of a controller, with what users may have noted in its metadata."""
        key = key_of(thing)
        self._new.add(key)
        status = thing.pop("status", None)
        before = self._store.get(key)
        if before is not None and before["metadata"].get("uid") == thing["metadata"].get(
            "uid", before["metadata"].get("uid")
        ):
            thing["metadata"] = {**_kept(before["metadata"]), **thing["metadata"]}
            if "status" in before:
                thing["status"] = before["status"]
        there = self._store.replace(thing)
        return there if status is None else self._with_status(there, status)

    def _parts(self) -> None:
        running = self._platform.running
        for name, part in running.parts.items():
            live = running.part_pods[name]
            as_workload = names.of_part(part)
            key = (as_workload.kind, part.namespace, as_workload.name)
            ready = self._is_ready(live)
            stamp = self.restarted.get(key, "")
            note = "; ".join(filter(None, (self._trouble(name), part.note)))
            owner = self._make(workloads.part(part, live, stamp, note, ready=ready))
            template = owner["spec"]["template"]
            if as_workload.kind == "Deployment":
                revision = names.revision_of_part(part)
                name_of_set = names.replica_set(as_workload.name, revision)
                owner = self._make(
                    workloads.replica_set(owner, name_of_set, revision, template, [live])
                )
                template = owner["spec"]["template"]
            pod_name = names.pod_of_part(part, live)
            self._pod(live, pod_name, part.namespace, template, owner)

    def _workload(self, one: Workload) -> None:
        namespace, _, name = one.name.partition("/")
        key = ("Deployment", namespace, name)
        owner_kind, _, owner_path = one.owner.partition("/")
        owner_namespace, _, owner_name = owner_path.partition("/")
        owner = self._store.get((owner_kind, owner_namespace, owner_name))
        if owner_kind != "Deployment" and owner is not None and one.target:
            stamp = self._platform.restarted.get(one.name, "")
            thing = workloads.deployment(one, one.target[0], owner, stamp)
            thing["status"] = statuses.deployment(self._platform, len(one.target), one)
            self._make(thing)
        deployment = self._store.get(key)
        newest = {pod.revision for pod in one.target}
        revisions: dict[str, list[LivePod]] = {}
        for revision in newest:
            revisions.setdefault(revision, [])
        for live in one.pods:
            revisions.setdefault(live.pod.revision, []).append(live)
        for revision, lives in revisions.items():
            self._revision(one, revision, lives, deployment)

    def _revision(
        self, one: Workload, revision: str, lives: list[LivePod], deployment: Object | None
    ) -> None:
        """The ReplicaSet of one revision and its pods."""
        namespace, _, name = one.name.partition("/")
        set_name = names.replica_set(name, revision)
        there = self._store.get(("ReplicaSet", namespace, set_name))
        if deployment is not None:
            template = there["spec"]["template"] if there else deployment["spec"]["template"]
            active = [live for live in lives if not live.draining]
            there = self._make(
                workloads.replica_set(deployment, set_name, revision, template, active)
            )
        elif there is not None:
            self._new.add(key_of(there))  # what it owns ends first
        for live in lives:
            if there is not None:
                self._pod(live, live.name, namespace, there["spec"]["template"], there)

    def _pod(
        self, live: LivePod, name: str, namespace: str, template: Mapping[str, Any], owner: Object
    ) -> None:
        if live.draining:
            self._ending.setdefault(live.uid, now())
        thing = pods.pod(
            live,
            name,
            namespace,
            template,
            owner,
            labels={},
            ready=self._is_ready(live),
            deleted=self._ending.get(live.uid, ""),
        )
        self.pods[key_of(thing)] = live
        self._make(thing)

    def _is_ready(self, live: LivePod) -> bool:
        return live.ready and live in self._platform.in_traffic

    def _services(self) -> None:
        grouped: dict[tuple[str, str], list[ServicePort]] = {}
        for one in self._platform.services():
            grouped.setdefault((one.namespace, one.service), []).append(one)
        applied = self._user_keys()
        elsewhere = self._platform.urls.elsewhere.get(ELASTICSEARCH.host)
        for (namespace, name), ports in grouped.items():
            key = ("Service", namespace, name)
            if elsewhere and key[1:] == (ELASTICSEARCH.namespace, ELASTICSEARCH.service):
                url = without_password(elsewhere)
                note = f"your own at {url}, by CLOSEDLOOP_ELASTICSEARCH_URL"
                self._make(network.external(ports[0], url, note))
                continue
            if key not in applied:
                self._make(network.service(ports, self._owner(ports[0])))
            there = self._store.get(key)
            if there is not None:
                self._make(network.endpoint_slice(there, ports, self._endpoints(ports[0])))

    def _owner(self, port: ServicePort) -> Object | None:
        """The SeldonDeployment that a Service was made for."""
        for one in self._platform.running.workloads.values():
            if one.owner.startswith("SeldonDeployment/") and any(
                network.matches(port.selector, pod.labels)
                for pod in one.target
                if one.name.startswith(port.namespace + "/")
            ):
                kind, _, path = one.owner.partition("/")
                namespace, _, name = path.partition("/")
                return self._store.get((kind, namespace, name))
        return None

    def _endpoints(self, port: ServicePort) -> Iterator[tuple[Object, bool]]:
        for key, live in self.pods.items():
            if key[1] == port.namespace and network.matches(port.selector, live.pod.labels):
                there = self._store.get(key)
                if there is not None:
                    yield there, self._is_ready(live) and not live.draining

    def _write_events(self) -> None:
        written = set()
        for one in self._platform.events_of.recent():
            kind, _, path = one.key.partition("/")
            namespace, _, name = path.rpartition("/")
            about = self._store.get((kind, namespace, name))
            uid = about["metadata"]["uid"] if about is not None else ""
            thing = happenings.event(one, uid)
            there = self._store.get(key_of(thing))
            if there is not None:
                thing["involvedObject"] = there["involvedObject"]
            if about is not None or there is not None or one.uid:
                self._store.put(thing)
                written.add(key_of(thing))
        for key in self._events - written:
            self._store.remove(key)
        self._events = written

    def _finish(self) -> None:
        """Take out what was deleted and is gone; a namespace once nothing is in it."""
        for key in self._store.all_keys():
            there = self._store.get(key)
            if there is None or key in self.made or "deletionTimestamp" not in there["metadata"]:
                continue
            kind, namespace, name = key
            if kind == "Namespace":
                inside = (one for one in self._store.all_keys() if one[1] == name)
                if all(one[0] == "Event" for one in inside):
                    self._store.remove(key)
                    self._forget_events(name)
            elif self._platform.is_gone(f"{kind}/{namespace}/{name}"):
                self._store.remove(key)

    def _forget_events(self, namespace: str) -> None:
        for key in self._store.all_keys():
            if key[:2] == ("Event", namespace):
                self._platform.events_of.forget(int(key[2].rpartition(".")[2], 16))
                self._store.remove(key)

    def _trouble(self, part: str) -> str:
        match part:
            case "envoy":
                elsewhere = not self._platform.urls.gateway.endswith(f":{addresses.GATEWAY_PORT}")
                taken = f"port {addresses.GATEWAY_PORT} is taken by another program"
                return self._platform.envoy_error or (taken if elsewhere else "")
            case "broker":
                return self._platform.broker_sync.error
            case "prometheus":
                return self._platform.prometheus_sync.error
            case _:
                return ""


def _kept(metadata: Mapping[str, Any]) -> Object:
    """What users may write into the metadata of an object that is a controller's."""
    return {
        name: metadata[name]
        for name in ("uid", "creationTimestamp", "managedFields")
        if name in metadata
    }
