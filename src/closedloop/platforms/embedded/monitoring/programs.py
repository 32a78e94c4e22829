"""Prometheus and Alertmanager, with the values that the chart gets on a cluster."""

import json
from collections.abc import Mapping
from pathlib import Path

from closedloop.machine import write_whole
from closedloop.platforms.embedded.desired import Probe, Process, ServicePort
from closedloop.platforms.embedded.monitoring import prometheus as configuration
from closedloop.platforms.embedded.monitoring.debian import Programs
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part

PROMETHEUS = ServicePort(
    "monitoring",
    "monitoring-kube-prometheus-prometheus",
    "http-web",
    9090,
    "http-web",
    {"app.kubernetes.io/name": "prometheus"},
)
ALERTMANAGER = ServicePort(
    "monitoring",
    "monitoring-kube-prometheus-alertmanager",
    "http-web",
    9093,
    "http-web",
    {"app.kubernetes.io/name": "alertmanager"},
)


def prometheus(
    address: str, folder: Path, programs: Programs, values: Mapping[str, object], url: str
) -> Part:
    """Prometheus at `address`; `url` is where people find it, for the links in alerts."""
    port = port_of_part(address, 9090)
    return Part(
        name="prometheus",
        version=programs.prometheus.version,
        namespace="monitoring",
        process=Process(
            name="prometheus",
            argv=(
                *programs.prometheus.argv,
                f"--config.file={folder / configuration.CONFIG}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}:{port}",
                f"--web.external-url={url}",
                "--web.enable-lifecycle",
                "--log.level=warn",
                *configuration.arguments(values),
            ),
            env={},
            readiness=Probe(port, "/-/ready", period=5, timeout=5),
            liveness=Probe(port, "/-/healthy", period=10, timeout=5),
            ports={"http-web": port},
        ),
        labels=PROMETHEUS.selector,
        service=PROMETHEUS,
        note="a new target's first sample comes within 7 s",
        url=f"http://{address}:{port}",
    )


def alertmanager(address: str, folder: Path, programs: Programs, url: str) -> Part:
    """Alertmanager at `address`; its configuration is `alertmanager.yml` in `folder`."""
    port = port_of_part(address, 9093)
    return Part(
        name="alertmanager",
        version=programs.alertmanager.version,
        namespace="monitoring",
        process=Process(
            name="alertmanager",
            argv=(
                *programs.alertmanager.argv,
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={address}:{port}",
                f"--web.external-url={url}",
                # Empty: no gossip, which would listen on all addresses.
                "--cluster.listen-address=",
                "--log.level=warn",
            ),
            env={},
            readiness=Probe(port, "/-/ready", period=5, timeout=5),
            liveness=Probe(port, "/-/healthy", period=10, timeout=5),
            ports={"http-web": port},
        ),
        labels=ALERTMANAGER.selector,
        service=ALERTMANAGER,
        url=f"http://{address}:{port}",
    )


def write(file: Path, content: object) -> bool:
    """Replace a configuration file if its content differs; JSON is YAML. Says whether it did."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, text)
    return True
