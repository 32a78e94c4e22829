"""The objects of what runs: workloads with their pods, Services with their endpoints."""

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.parts.programs import ELASTICSEARCH
from closedloop.platforms.embedded.parts.service_urls import without_password
from closedloop.platforms.embedded.run import network as addresses
from closedloop.platforms.embedded.run.endpoints import selects
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.workload import Workload
from closedloop.platforms.embedded.server.mirror import (
    network,
    pods,
    status,
    workloads,
)
from closedloop.platforms.embedded.server.mirror.events import Events
from closedloop.platforms.embedded.server.mirror.keeper import Keeper
from closedloop.platforms.embedded.server.store import Key, Object, Store, key_of


class Following:
    """Makes objects of one platform; `pods` are what runs, by the key of its Pod."""

    def __init__(self, platform: Controller, store: Store, keeper: Keeper, events: Events) -> None:
        self.pods: dict[Key, LivePod] = {}
        self.restarted: dict[Key, str] = {}  # workloads of parts, and when
        self._platform = platform
        self._store = store
        self._keeper = keeper
        self._events = events
        self._ending: dict[str, str] = {}  # pods by uid, and since when they end

    def look(self, applied: Container[Key]) -> None:
        """Make the objects of what runs now; `applied` are the keys of those that users made."""
        self.pods = {}
        self._parts()
        for one in self._platform.running.workloads.values():
            self._workload(one)
        self._services(applied)
        self._routes()
        there = {pod.uid for pod in self.pods.values()}
        self._ending = {uid: since for uid, since in self._ending.items() if uid in there}

    def _parts(self) -> None:
        running = self._platform.running
        for name, part in running.parts.items():
            live = running.part_pods[name]
            as_workload = part.workload
            key = (as_workload.kind, part.namespace, as_workload.name)
            ready = self._is_ready(live)
            stamp = self.restarted.get(key, "")
            note = "; ".join(filter(None, (self._trouble(name), part.note)))
            owner = self._keeper.make(workloads.part(part, live, stamp, note, ready=ready))
            template = owner["spec"]["template"]
            if as_workload.kind == "Deployment":
                revision = workloads.revision_of_part(part)
                name_of_set = workloads.replica_set_name(as_workload.name, revision)
                owner = self._keeper.make(
                    workloads.replica_set(owner, name_of_set, revision, template, [live])
                )
                template = owner["spec"]["template"]
            pod_name = workloads.pod_of_part(part, live)
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
            thing["status"] = status.deployment(self._platform, len(one.target), one)
            self._keeper.make(thing)
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
        set_name = workloads.replica_set_name(name, revision)
        there = self._store.get(("ReplicaSet", namespace, set_name))
        if deployment is not None:
            newest = there is None or any(pod.revision == revision for pod in one.target)
            template = (deployment if newest or there is None else there)["spec"]["template"]
            active = [live for live in lives if not live.draining]
            before = there["spec"]["replicas"] if there else 0
            there = self._keeper.make(
                workloads.replica_set(deployment, set_name, revision, template, active)
            )
            self._scaled(deployment, set_name, before, len(active))
        elif there is not None:
            self._keeper.keep(there)  # what it owns ends first
        for live in lives:
            if there is not None:
                self._pod(live, live.name, namespace, there["spec"]["template"], there)

    def _scaled(self, deployment: Object, name: str, before: int, now: int) -> None:
        if before != now:
            direction = "up" if now > before else "down"
            text = f"Scaled {direction} replica set {name} from {before} to {now}"
            self._events.record(deployment, "ScalingReplicaSet", text)

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
            ready=self._is_ready(live),
            deleted=self._ending.get(live.uid, ""),
        )
        self.pods[key_of(thing)] = live
        self._keeper.make(thing)

    def _is_ready(self, live: LivePod) -> bool:
        return live.ready and live in self._platform.in_traffic

    def _services(self, applied: Container[Key]) -> None:
        grouped: dict[tuple[str, str], list[ServicePort]] = {}
        for one in self._platform.services():
            grouped.setdefault((one.namespace, one.service), []).append(one)
        elsewhere = self._platform.urls.elsewhere.get(ELASTICSEARCH.host)
        for (namespace, name), ports in grouped.items():
            key = ("Service", namespace, name)
            if elsewhere and key[1:] == (ELASTICSEARCH.namespace, ELASTICSEARCH.service):
                url = without_password(elsewhere)
                note = f"your own at {url}, by CLOSEDLOOP_ELASTICSEARCH_URL"
                version = self._platform.installation.elasticsearch_version
                self._keeper.make(network.external(ports[0], url, version, note))
                continue
            if key not in applied:
                self._keeper.make(network.service(ports, self._owner(ports[0])))
            there = self._store.get(key)
            if there is not None:
                pods_of = list(self._endpoints(ports[0]))
                targets = self._targets(ports)
                self._keeper.make(network.endpoint_slice(there, targets, pods_of))

    def _routes(self) -> None:
        """The gateway's Service, and the routes that lead from it."""
        part = self._platform.running.parts.get("envoy")
        if part is not None:
            port = int(self._platform.urls.gateway.rpartition(":")[2])
            self._keeper.make(network.gateway(port, part.labels))
        if "istio" not in self._platform.installation.installed:
            return
        for route in self._platform.desired.routes:
            namespace, _, name = route.deployment.partition("/")
            owner = self._store.get(("SeldonDeployment", namespace, name))
            if owner is not None:
                self._keeper.make(network.virtual_service(route, owner, self._gateway))

    @cached_property
    def _gateway(self) -> str:
        """The Gateway that Seldon was set up with, `namespace/name`."""
        return self._platform.models.runtime().gateway

    def _targets(self, ports: Sequence[ServicePort]) -> dict[str, int]:
        """The ports of pods that a Service's ports lead to, as far as they are known."""
        found = {}
        for one in ports:
            if isinstance(one.target, int):
                found[one.name] = one.target
                continue
            for key, live in self.pods.items():
                chosen = key[1] == one.namespace and selects(one.selector, live.pod)
                if chosen and one.target in live.pod.ports:
                    found[one.name] = live.pod.ports[one.target]
        return found

    def _owner(self, port: ServicePort) -> Object | None:
        """The SeldonDeployment that a Service was made for."""
        for one in self._platform.running.workloads.values():
            if one.owner.startswith("SeldonDeployment/") and any(
                selects(port.selector, pod)
                for pod in one.target
                if one.name.startswith(port.namespace + "/")
            ):
                kind, _, path = one.owner.partition("/")
                namespace, _, name = path.partition("/")
                return self._store.get((kind, namespace, name))
        return None

    def _endpoints(self, port: ServicePort) -> Iterator[tuple[Object, bool]]:
        for key, live in self.pods.items():
            if key[1] == port.namespace and selects(port.selector, live.pod):
                there = self._store.get(key)
                if there is not None:
                    yield there, self._is_ready(live) and not live.draining

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
