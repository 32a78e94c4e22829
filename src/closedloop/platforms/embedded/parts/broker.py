"""Our broker: where it comes from and how it is started."""

import sys
from pathlib import Path

from closedloop import __version__
from closedloop.platforms.embedded.desired import Probe, Process
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part, service_of

SERVICE = service_of("broker", "http", 80, {"eventing.knative.dev/brokerRole": "ingress"})


def part(address: str, config: Path, nats: str) -> Part:
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
        labels=SERVICE.selector,
        service=SERVICE,
        url=f"http://{address}:{port}",
    )
