"""Our broker, and the file by which it learns of Brokers and Triggers."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from closedloop import __version__
from closedloop.platforms.embedded.desired import BrokerSpec, Probe, Process, TriggerSpec
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part

LABELS = {"eventing.knative.dev/brokerRole": "ingress"}


def part(address: str, config: Path, nats: str) -> Part:
    """The broker at `address`, with NATS at the URL `nats`."""
    port = port_of_part(address, 8080)
    return Part(
        name="broker",
        version=__version__,
        namespace="knative-eventing",
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
        labels=LABELS,
        url=f"http://{address}:{port}",
    )


def configuration(brokers: Iterable[BrokerSpec], triggers: Iterable[TriggerSpec]) -> str:
    """The broker's file, as JSON."""
    return json.dumps(
        {
            "brokers": [asdict(one) for one in brokers],
            "triggers": [asdict(one) for one in triggers],
        },
        indent=1,
    )
