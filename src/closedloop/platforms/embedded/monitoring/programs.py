"""Prometheus and Alertmanager, with the values that the chart gets on a cluster."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from closedloop.machine import write_whole
from closedloop.manifests import ManifestError
from closedloop.platforms.embedded.desired import Probe, Process, ServicePort
from closedloop.platforms.embedded.monitoring import prometheus as configuration
from closedloop.platforms.embedded.monitoring.debian import Program, Programs
from closedloop.platforms.embedded.reconcile.urls import UrlOf, rewrite
from closedloop.platforms.embedded.run.network import port_of_part
from closedloop.platforms.embedded.run.part import Part, service_of

PROMETHEUS, ALERTMANAGER = (
    service_of(name, "http-web", port, {"app.kubernetes.io/name": name})
    for name, port in (("prometheus", 9090), ("alertmanager", 9093))
)


def prometheus(
    address: str, folder: Path, programs: Programs, values: Mapping[str, object], url: str
) -> Part:
    """Prometheus at `address`; `url` is where people find it, for the links in alerts."""
    return _part(
        address,
        programs.prometheus,
        PROMETHEUS,
        (
            f"--config.file={folder / configuration.CONFIG}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.external-url={url}",
            "--web.enable-lifecycle",
            *configuration.arguments(values),
        ),
        note="a new target's first sample comes within 7 s",
    )


def alertmanager(address: str, folder: Path, programs: Programs, url: str) -> Part:
    """Alertmanager at `address`; its configuration is `alertmanager.yml` in `folder`."""
    return _part(
        address,
        programs.alertmanager,
        ALERTMANAGER,
        (
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.external-url={url}",
            # Empty: no gossip, which would listen on all addresses.
            "--cluster.listen-address=",
        ),
    )


def alertmanager_configuration(values: Mapping[str, object], *, url_of: UrlOf) -> object:
    """`alertmanager.config` of `monitoring/values.yaml`, with the URLs of this machine.

    Raises `ManifestError` when there is none.
    """
    part = values.get("alertmanager")
    config = part.get("config") if isinstance(part, Mapping) else None
    if not isinstance(config, Mapping) or not config:
        raise ManifestError(["monitoring/values.yaml: alertmanager.config is missing: add it"])
    return json.loads(rewrite(json.dumps(config), url_of))


def _part(
    address: str, program: Program, service: ServicePort, options: Sequence[str], note: str = ""
) -> Part:
    port = port_of_part(address, service.port)
    return Part(
        version=program.version,
        process=Process(
            name=service.selector["app.kubernetes.io/name"],
            argv=(
                *program.argv,
                f"--web.listen-address={address}:{port}",
                "--log.level=warn",
                *options,
            ),
            env={},
            readiness=Probe(port, "/-/ready", period=5, timeout=5),
            liveness=Probe(port, "/-/healthy", period=10, timeout=5),
            ports={"http-web": port},
        ),
        labels=service.selector,
        service=service,
        note=note,
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
