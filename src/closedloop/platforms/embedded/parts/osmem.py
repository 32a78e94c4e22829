"""The server that speaks Elasticsearch's API, or a real Elasticsearch by its URL."""

import os

from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part, package_version, service_of
from closedloop.platforms.protocol import PlatformError

SERVICE = service_of("elasticsearch", "http", 9200, {"app": "elasticsearch"})
NOTE = "its data is in memory only: a restart loses it, and the broker delivers again what it kept"


def part(address: str) -> Part:
    """The server at `address`. Raises `PlatformError` when its package is absent."""
    version = package_version("osmem-server")
    # Imported here: only this platform has the package.
    from osmem_server import OsmemError, resolve_binary

    try:
        binary = resolve_binary()
    except OsmemError as error:
        raise PlatformError(f"{error}") from None
    port = port_of_part(address, 9200)
    return Part(
        version=f"osmem-server {version}",
        process=Process(
            name="elasticsearch",
            argv=(
                binary,
                *("--addr", f"{address}:{port}"),
                *("--parent-pid", str(os.getpid())),
                "--no-stdin-watch",
                "--no-ja",
            ),
            env={},
            readiness=Probe(port, "/", period=5, timeout=5),
            liveness=Probe(port, None, period=10, timeout=5),
            ports={"http": port},
        ),
        labels=SERVICE.selector,
        service=SERVICE,
        note=NOTE,
    )
