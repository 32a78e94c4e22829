"""What clients see: objects with their status, rows of parts, and their logs."""

from collections.abc import Mapping

from closedloop import __version__
from closedloop.manifests import Manifest
from closedloop.platforms.embedded import status
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.names import key, prefix
from closedloop.platforms.embedded.parts.service_urls import (
    ELASTICSEARCH,
    OF_PARTS,
    without_password,
)
from closedloop.platforms.embedded.run import network
from closedloop.platforms.embedded.run.endpoints import selects
from closedloop.platforms.embedded.run.part import version_beside
from closedloop.platforms.embedded.run.workload import Workload
from closedloop.platforms.protocol import PartStatus

Document = dict[str, object]


def find(platform: Controller, kind: str, name: str, namespace: str) -> Document | None:
    """An object with its status, or None."""
    manifest = platform.objects.get(key(kind, name, namespace))
    if manifest is not None:
        return _with_status(platform, manifest)
    return next(
        (one for one in _made(platform, kind) if _name(one) == (namespace or "default", name)),
        None,
    )


def every(platform: Controller, kind: str, namespace: str) -> list[Document]:
    """All objects of a kind, those that objects made included; of one namespace, or of all."""
    manifests = [
        _with_status(platform, one) for one in platform.objects.values() if one.kind == kind
    ]
    everything = [*manifests, *_made(platform, kind)]
    return [one for one in everything if not namespace or _name(one)[0] == namespace]


def rows(platform: Controller) -> list[PartStatus]:
    """Every part and workload."""
    return [*_parts(platform), *_workloads(platform)]


def log(platform: Controller, name: str, lines: int) -> str:
    """The last lines of a part or workload; of a part without a process, where there is a log.

    Raises `PlatformError` when nothing of that name ever logged.
    """
    if name == "seldon-core" and name in platform.installation.installed:
        workloads = platform.running.workloads.values()
        models = [one.name for one in workloads if one.owner.startswith("SeldonDeployment/")]
        where = ", ".join(models) or "their workloads, of which there is none yet"
        return f"seldon-core has no process of its own: its models log as {where}"
    if name == "elasticsearch" and (elsewhere := platform.urls.elsewhere.get(ELASTICSEARCH.host)):
        return f"elasticsearch is your own at {without_password(elsewhere)}: it logs there"
    return platform.running.logs(name, lines)


def _with_status(platform: Controller, manifest: Manifest) -> Document:
    document = {key: value for key, value in manifest.document.items() if key != "status"}
    metadata = document["metadata"]
    assert isinstance(metadata, Mapping)  # checked when it was applied
    document["metadata"] = {**metadata, **platform.lifetimes.metadata(manifest.key)}
    now = _status(platform, manifest)
    return {**document, "status": now} if now is not None else document


def _status(platform: Controller, manifest: Manifest) -> status.Status | None:
    problems = platform.desired.problems.get(manifest.key, ())
    name, namespace = manifest.name, manifest.namespace
    match manifest.kind:
        case "Deployment":
            workload = platform.running.workloads.get(f"{namespace}/{name}")
            return status.of_deployment(_replicas(manifest), workload, problems)
        case "SeldonDeployment":
            at = prefix(f"{namespace}/{name}")
            wanted = [one for one in platform.desired.routes if one.prefix == at]
            live = [one for one in platform.routing.routes if one.prefix == at]
            service = wanted[0].backends[0][0] if wanted else ""
            host, _, port = service.rpartition(":")
            return status.of_seldon_deployment(
                [one for one in platform.running.workloads.values() if one.owner == manifest.key],
                routed=bool(wanted) and wanted == live,
                refusal=platform.envoy_error,
                address=f"http://{host}.svc.cluster.local:{port}/api/v1.0/predictions",
                problems=problems,
            )
        case "Broker":
            return status.of_eventing(
                _eventing_problem(platform, problems),
                f"http://broker-ingress.knative-eventing.svc.cluster.local/{namespace}/{name}",
            )
        case "Trigger":
            return status.of_eventing(_eventing_problem(platform, problems))
        case _:
            return None


def _eventing_problem(platform: Controller, problems: tuple[str, ...]) -> str:
    if problems:
        return "; ".join(problems)
    if platform.broker_sync.in_effect:
        return ""
    return platform.broker_sync.error or "the broker has not taken it yet"


def _made(platform: Controller, kind: str) -> list[Document]:
    """Objects that nobody applied but a cluster's controllers would make."""
    workloads = platform.running.workloads.values()
    if kind == "Deployment":
        return [
            _object("apps/v1", kind, one.name, {"replicas": len(one.target)})
            | {"status": status.of_deployment(len(one.target), one)}
            for one in workloads
            if not one.owner.startswith("Deployment/")
        ]
    if kind == "Pod":
        return [
            _object("v1", kind, f"{one.name.partition('/')[0]}/{pod.name}", {}, pod.pod.labels)
            | {"status": status.of_pod(pod)}
            for one in workloads
            for pod in one.pods
        ]
    if kind == "Service":
        return [_service(ports) for ports in _unapplied_services(platform)]
    return []


def _unapplied_services(platform: Controller) -> list[list[ServicePort]]:
    """The ports of each Service that came with a part or a SeldonDeployment."""
    grouped: dict[str, list[ServicePort]] = {}
    for one in platform.services():
        grouped.setdefault(key("Service", one.service, one.namespace), []).append(one)
    return [ports for of, ports in grouped.items() if of not in platform.objects]


def _service(ports: list[ServicePort]) -> Document:
    spec = {
        "selector": dict(ports[0].selector),
        "ports": [{"name": one.name, "port": one.port, "targetPort": one.target} for one in ports],
    }
    return _object("v1", "Service", f"{ports[0].namespace}/{ports[0].service}", spec)


def _object(
    version: str,
    kind: str,
    path: str,
    spec: Mapping[str, object],
    labels: Mapping[str, str] | None = None,
) -> Document:
    namespace, _, name = path.partition("/")
    metadata: Document = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _name(document: Mapping[str, object]) -> tuple[str, str]:
    metadata = document["metadata"]
    assert isinstance(metadata, Mapping)
    return str(metadata.get("namespace") or "default"), str(metadata["name"])


def _replicas(manifest: Manifest) -> int:
    spec = manifest.document["spec"]
    assert isinstance(spec, Mapping)  # checked when it was applied
    return int(spec.get("replicas", 1))


def _parts(platform: Controller) -> list[PartStatus]:
    result = []
    services = _services_of_parts(platform)
    for name, part in platform.running.parts.items():
        pod = platform.running.part_pods[name]
        note = "; ".join(filter(None, (_trouble(platform, name), pod.reason, part.note)))
        url = platform.urls.gateway if name == "envoy" else services.get(name, part.url)
        result.append(PartStatus(name, part.version, pod.state, url, pod.restarts, note))
    if elsewhere := platform.urls.elsewhere.get(ELASTICSEARCH.host):
        version = platform.installation.elasticsearch_version
        url = without_password(elsewhere)
        note = "your own, by CLOSEDLOOP_ELASTICSEARCH_URL"
        result.append(PartStatus("elasticsearch", version, "ready", url, 0, note))
    if "seldon-core" in platform.installation.installed:
        version = _wrapper_version(platform)
        note = "model servers in an environment of their own, models trained here"
        result.append(PartStatus("seldon-core", version, "ready", "", 0, note))
    return result


def _wrapper_version(platform: Controller) -> str:
    """The version of Seldon's wrapper that serves the models; empty before it is installed."""
    python = platform.models.runtime().model_python
    return version_beside(python, "seldon-core") if python else ""


def _trouble(platform: Controller, part: str) -> str:
    match part:
        case "envoy":
            elsewhere = not platform.urls.gateway.endswith(f":{network.GATEWAY_PORT}")
            taken = f"port {network.GATEWAY_PORT} is taken by another program" if elsewhere else ""
            return platform.envoy_error or taken
        case "broker":
            return platform.broker_sync.error
        case "prometheus":
            return platform.prometheus_sync.error
        case _:
            return ""


def _services_of_parts(platform: Controller) -> dict[str, str]:
    return {
        part: platform.urls.url_of(one.namespace, one.service, one.port)
        for part, one in OF_PARTS.items()
    }


def _workloads(platform: Controller) -> list[PartStatus]:
    return [_row(platform, one) for one in platform.running.workloads.values()]


def _row(platform: Controller, one: Workload) -> PartStatus:
    ready = sum(pod.ready for pod in one.updated)
    waiting = [pod for pod in one.pods if not pod.ready]
    if one.settled:
        state = "ready"
    elif any(pod.state == "restarting" for pod in one.pods):
        state = "restarting"
    else:
        state = "starting" if one.target else "stopped"
    seldon = one.owner.startswith("SeldonDeployment/")
    version = _wrapper_version(platform) if seldon else __version__
    several = len(one.target) > 1 or waiting or one.waits_for
    notes = [f"{ready} of {len(one.target)} ready"] if several else []
    notes += [*one.waits_for, *([status.reasons(waiting)] if waiting else [])]
    return PartStatus(
        one.name,
        version,
        state,
        _url(platform, one),
        sum(pod.restarts for pod in one.pods),
        "; ".join(filter(None, notes)),
    )


def _url(platform: Controller, one: Workload) -> str:
    """The URL of a Service in front of a workload's pods."""
    for service in platform.desired.services:
        if service.namespace == one.name.partition("/")[0] and any(
            selects(service.selector, pod) for pod in one.target
        ):
            return platform.urls.url_of(service.namespace, service.service, service.port)
    return ""
