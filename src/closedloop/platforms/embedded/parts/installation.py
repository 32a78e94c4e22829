"""The installation of each part on one machine."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from closedloop.manifests import load_values
from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.monitoring import debian
from closedloop.platforms.embedded.monitoring import programs as monitoring
from closedloop.platforms.embedded.monitoring.programs import write
from closedloop.platforms.embedded.monitoring.sync import PrometheusSync
from closedloop.platforms.embedded.parts import programs
from closedloop.platforms.embedded.parts.programs import ELASTICSEARCH
from closedloop.platforms.embedded.parts.service_urls import Urls, without_password
from closedloop.platforms.embedded.run.running import Running
from closedloop.platforms.parts import demand
from closedloop.platforms.protocol import PlatformError


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are put and looked for: `parts` outlives the platform, `folder` does not."""

    manifests: Path
    parts: Path
    folder: Path


class Installation:
    """Installs parts, one at a time; a part that is there stays."""

    def __init__(
        self,
        site: Site,
        running: Running,
        urls: Urls,
        http: aiohttp.ClientSession,
        *,
        broker_file: Path,
        prometheus_sync: PrometheusSync,
        models: Callable[[], Awaitable[None]],
    ) -> None:
        self.installed: set[str] = set()
        self.elasticsearch_version = ""  # of one's own, where it has been named
        self._site = site
        self._running = running
        self._urls = urls
        self._http = http
        self._broker_file = broker_file
        self._prometheus_sync = prometheus_sync
        self._models = models
        self._one_at_a_time = asyncio.Lock()

    async def install(self, part: str, elasticsearch_url: str = "") -> None:
        """Install one of `PARTS` and wait until it is ready. Raises `PlatformError`."""
        demand(part)
        async with self._one_at_a_time:
            match part:
                case "istio":
                    pass  # Envoy runs from the start: every Service is behind it
                case "monitoring":
                    await self._monitoring()
                case "seldon-core":
                    await self._models()
                case "knative-eventing":
                    await self._knative()
                case "elasticsearch":
                    await self._elasticsearch(elasticsearch_url)
            self.installed.add(part)

    async def _knative(self) -> None:
        if "nats" not in self._running.parts:
            await self._running.add(lambda at: programs.nats(at, self._site.folder / "nats"))
        if "broker" not in self._running.parts:
            url = self._running.parts["nats"].url
            await self._running.add(lambda at: programs.broker(at, self._broker_file, url))

    async def _elasticsearch(self, url: str) -> None:
        own = self._urls.elsewhere.get(ELASTICSEARCH.host)
        if own or "elasticsearch" in self._running.parts:
            # It stays, with all that was logged to it, though another be named now.
            if url and url != own:
                there = without_password(self._url(ELASTICSEARCH))
                raise PlatformError(
                    f"elasticsearch is at {there} already: `closedloop down` first,"
                    f" or unset CLOSEDLOOP_ELASTICSEARCH_URL={without_password(url)}"
                )
        elif url:
            self.elasticsearch_version = await self._version_at(url)
            self._urls.elsewhere[ELASTICSEARCH.host] = url
        else:
            await self._running.add(programs.elasticsearch)

    async def _version_at(self, url: str) -> str:
        try:
            async with self._http.get(url) as answer:
                members = json.loads(await answer.read())
                if answer.ok:
                    return str(members["version"]["number"])
                reason = f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
        raise PlatformError(
            f"CLOSEDLOOP_ELASTICSEARCH_URL={without_password(url)}"
            f" does not answer as Elasticsearch does ({reason}):"
            " correct it, or unset it to use the server that comes along"
        )

    async def _monitoring(self) -> None:
        if {"prometheus", "alertmanager"} <= self._running.parts.keys():
            return
        folder = self._prometheus_sync.folder
        folder.mkdir(parents=True, exist_ok=True)
        values = load_values(self._site.manifests / "monitoring" / "values.yaml")
        found = await debian.programs(self._site.parts)
        alerting = monitoring.alertmanager_configuration(values, url_of=self._urls.url_of)
        write(folder / "alertmanager.yml", alerting)
        if "alertmanager" not in self._running.parts:
            url = self._url(monitoring.ALERTMANAGER)
            await self._running.add(lambda at: monitoring.alertmanager(at, folder, found, url))
        self._prometheus_sync.values = values
        self._prometheus_sync.write()
        if "prometheus" not in self._running.parts:
            home = self._url(monitoring.PROMETHEUS)
            await self._running.add(
                lambda at: monitoring.prometheus(at, folder, found, values, home)
            )

    def _url(self, one: ServicePort) -> str:
        return self._urls.url_of(one.namespace, one.service, one.port)
