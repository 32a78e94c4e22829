"""The embedded platform itself: the desired state in, running processes and their states out.

One loop brings the processes to the desired state, a step at every change; two more
keep the broker and Prometheus informed (`broker_sync`, `prometheus_sync`).
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import aiohttp
import structlog

from closedloop.manifests import Manifest
from closedloop.platforms.embedded import reconcile
from closedloop.platforms.embedded.desired import Desired, Pod, ServicePort
from closedloop.platforms.embedded.envoy import proxy as envoy
from closedloop.platforms.embedded.envoy import xds
from closedloop.platforms.embedded.envoy.routing import Routing, plan
from closedloop.platforms.embedded.monitoring.sync import PrometheusSync, check_rules
from closedloop.platforms.embedded.parts.broker_sync import BrokerSync
from closedloop.platforms.embedded.parts.installation import Installation, Site
from closedloop.platforms.embedded.parts.model_servers import Models
from closedloop.platforms.embedded.parts.programs import ELASTICSEARCH
from closedloop.platforms.embedded.parts.service_urls import Urls
from closedloop.platforms.embedded.run import volumes
from closedloop.platforms.embedded.run.network import Network
from closedloop.platforms.embedded.run.pods import LivePod, Surroundings
from closedloop.platforms.embedded.run.running import Changes, Running
from closedloop.platforms.protocol import PlatformError

_log = structlog.get_logger(__name__)

_AGAIN = 1.0  # seconds until Envoy is asked again to take a refused configuration


class Controller:
    """The platform behind the API server; from `start()` to `stop()`, `run()` in between."""

    def __init__(
        self,
        site: Site,
        network: Network,
        surroundings: Callable[[Callable[[], None]], Surroundings],
        http: aiohttp.ClientSession,
    ) -> None:
        self.changes = Changes()
        self.desired = Desired()
        self.routing = Routing()
        self.urls = Urls(network)
        around = surroundings(self.changes.mark)
        self.models = Models(site, around.guardian)
        self.envoy_error = ""
        self.in_traffic: frozenset[LivePod] = frozenset()  # ready, and Envoy was told so
        self.restarted: dict[str, str] = {}  # workloads that no Deployment describes, and when
        self._site = site
        self._http = http
        self._network = network
        self._writing = asyncio.Lock()
        self._files = envoy.Files(site.folder / "envoy")
        self.running = Running(network, around, self.changes)
        self.broker_sync = BrokerSync(
            site.folder / "broker" / "config.json",
            lambda: self.desired,
            self.running,
            self.changes,
            http,
        )
        self.prometheus_sync = PrometheusSync(
            site.folder / "prometheus", lambda: self.desired, self.running, self.changes, http
        )
        self.installation = Installation(
            site,
            self.running,
            self.urls,
            http,
            broker_file=self.broker_sync.file,
            prometheus_sync=self.prometheus_sync,
            models=self.models.prepare,
        )

    async def start(self) -> None:
        """Start Envoy, which is behind every Service. Raises `PlatformError`."""
        self._files.folder.mkdir(parents=True, exist_ok=True)
        await self._write_files(confirm=False)
        if self.envoy_error:
            raise PlatformError(f"Envoy's configuration cannot be written: {self.envoy_error}")
        await self.running.add(lambda at: envoy.part(at, self._files.folder))

    async def run(self) -> None:
        """Bring about the desired state, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.broker_sync.run())
            group.create_task(self.prometheus_sync.run())
            seen = -1
            while True:
                # Without any change: a port that was taken may have become free.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN if self.envoy_error else None):
                        seen = await self.changes.after(seen)
                await self._step()

    async def stop(self) -> None:
        """End everything that runs."""
        await self.running.stop()

    async def install(self, part: str, elasticsearch_url: str) -> None:
        """Start the programs of a part. Raises `PlatformError`."""
        await self.installation.install(part, elasticsearch_url)

    def asked_by(self, objects: Iterable[Manifest]) -> Desired:
        """The desired state of a set of objects. Raises `ManifestError`."""
        return reconcile.desired(objects, url_of=self.urls.url_of, runtime=self.models.runtime())

    async def check(self, desired: Desired) -> None:
        """Raise `PlatformError` for rules that Prometheus would refuse."""
        new = {
            name: groups
            for name, groups in desired.rules.items()
            if self.desired.rules.get(name) != groups
        }
        await check_rules(new, self._site.parts)

    def restart_made(self, workload: str, stamp: str) -> None:
        """Replace the pods of a workload, `namespace/name`, that a SeldonDeployment made."""
        there = {pod.workload for pod in self.desired.pods}
        self.restarted = {one: at for one, at in self.restarted.items() if one in there}
        self.restarted[workload] = stamp
        self.running.aim(self._restarted(self.desired.pods))

    def is_gone(self, key: str) -> bool:
        """Whether nothing that a deleted object described runs or is routed to."""
        kind, _, path = key.partition("/")
        if kind in ("Broker", "Trigger"):
            return self.broker_sync.in_effect or "broker" not in self.running.parts
        if kind == "Service":
            namespace, _, name = path.partition("/")
            services = (*self.routing.services.values(), *self.desired.services)
            return all((one.namespace, one.service) != (namespace, name) for one in services)
        return not any(one.owner == key for one in self.running.workloads.values()) and not any(
            one.deployment == path for one in self.routing.routes
        )

    def services(self) -> list[ServicePort]:
        """All Services, those of installed parts included."""
        own = [one.service for one in self.running.parts.values() if one.service]
        if ELASTICSEARCH.host in self.urls.elsewhere:
            own.append(ELASTICSEARCH)
        taken = {one.host for one in self.desired.services}
        return [*self.desired.services, *(one for one in own if one.host not in taken)]

    def aim(self, desired: Desired) -> None:
        """Write the files of volumes and go for the rest. Raises `PlatformError` if they cannot."""
        try:
            volumes.write_all(desired.folders)
        except OSError as error:
            raise PlatformError(f"a ConfigMap cannot be written as files: {error}") from None
        self.desired = desired
        self.running.aim(self._restarted(desired.pods))

    def _restarted(self, pods: Sequence[Pod]) -> list[Pod]:
        """Pods with the revisions that restarts give them."""
        return [
            replace(pod, revision=_revised(pod.revision, self.restarted[pod.workload]))
            if pod.workload in self.restarted
            else pod
            for pod in pods
        ]

    async def _step(self) -> None:
        draining = {pod for pod in self.running.workload_pods if pod.draining}
        await self._write_files(confirm=True)
        for workload in list(self.running.workloads.values()):
            needed = self.routing.needs(one.pod for one in workload.pods)
            if workload.step(unseen=draining, needed=needed):
                self.changes.mark()
        self.running.forget_gone()

    async def _write_files(self, *, confirm: bool) -> None:
        async with self._writing:
            await self._bring_into_effect(confirm=confirm)

    async def _bring_into_effect(self, *, confirm: bool) -> None:
        ready = frozenset(pod for pod in self.running.pods if pod.available)
        routing = plan(self.desired.routes, self.services(), self.running.pods, self.routing)
        content = xds.render(
            self._files.folder,
            routing.routes,
            gateway=("127.0.0.1", self._network.gateway_port),
            listen={
                host: ("127.0.0.1", self._network.service_port(host))
                for host in routing.services
                if host not in self.urls.elsewhere
            },
            endpoints=routing.endpoints,
            elasticsearch=(ELASTICSEARCH.host,),
        )
        proxy = self.running.part_pods.get("envoy")
        asked = confirm and proxy is not None and proxy.ready
        # A refused configuration stays so until Envoy says otherwise.
        error = "" if asked else self.envoy_error
        try:
            await self._files.write(
                content,
                admin=self.running.parts["envoy"].url if asked else None,
                http=self._http,
                log=self._site.folder / "logs" / "envoy.log",
            )
        except (envoy.Rejected, OSError) as rejected:  # a full disk, say: tried again
            error = str(rejected)
            if error != self.envoy_error:
                _log.error("Envoy does not take its configuration", error=error)
        if (routing, error, ready) != (self.routing, self.envoy_error, self.in_traffic):
            self.routing, self.envoy_error, self.in_traffic = routing, error, ready
            self.changes.mark()


def _revised(revision: str, stamp: str) -> str:
    return hashlib.sha256(f"{revision} {stamp}".encode()).hexdigest()[: len(revision)]
