"""The published ports of a kind cluster: the files in `manifests/kind/`, read once.

`values-cluster.yaml` maps ports of the node to ports of 127.0.0.1, fixed when
the cluster is made; the Services beside it give pods those ports of the node,
and say by an annotation which Service they stand for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closedloop.manifests import ManifestError, load, load_values

FOLDER = "kind"
CONFIG = f"{FOLDER}/values-cluster.yaml"
PUBLISHES = "closedloop.dev/publishes"


@dataclass(frozen=True, slots=True)
class Published:
    """A Service `namespace/name` with the port of 127.0.0.1 where it answers."""

    service: str
    source: str  # the manifest of the Service with the node's port, under manifests/
    node_port: int
    host_port: int


def published(manifests: Path) -> dict[str, Published]:
    """By Service. Raises `ManifestError` for a node port that no port here leads to."""
    hosts = host_ports(manifests)
    table = {}
    for manifest in load(manifests, FOLDER):
        if manifest.kind != "Service":
            continue
        document: Mapping[str, Any] = manifest.document
        stands_for = document["metadata"].get("annotations", {}).get(PUBLISHES)
        node_port = document["spec"]["ports"][0]["nodePort"]
        if not stands_for or node_port not in hosts:
            fault = (
                f"{manifest.source}: {manifest.title} needs an annotation {PUBLISHES} and a"
                f" nodePort that {CONFIG} maps: {sorted(hosts)}"
            )
            raise ManifestError([fault])
        source = manifest.source.partition("/")[2]
        service = f"{manifest.namespace}/{stands_for}"
        table[service] = Published(service, source, node_port, hosts[node_port])
    return table


def host_ports(manifests: Path) -> dict[int, int]:
    """Ports of 127.0.0.1 by port of the node."""
    config: Mapping[str, Any] = load_values(manifests / CONFIG)
    return {
        mapping["containerPort"]: mapping["hostPort"]
        for node in config.get("nodes", [])
        for mapping in node.get("extraPortMappings", [])
    }
