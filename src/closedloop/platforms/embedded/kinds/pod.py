"""Deployment with its pod template, whose containers a SeldonDeployment has, too."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.kinds.base import (
    Fault,
    LabelSelector,
    Manifested,
    Port,
    PortRef,
    Strict,
)
from closedloop.platforms.embedded.kinds.volume import (
    Volume,
    VolumeMount,
    mount_faults,
    volume_faults,
)
from closedloop.validation import Path

POD_IP = "status.podIP"


class KeyRef(Strict):
    """One key of a ConfigMap or Secret."""

    name: str
    key: str
    optional: bool = False


class FieldRef(Strict):
    """A field of the pod itself."""

    api_version: Literal["v1"] = "v1"
    field_path: Literal["status.podIP", "metadata.namespace"]


class ValueFrom(Strict):
    """Where the value of an environment variable comes from: exactly one of the three."""

    field_ref: FieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class EnvVar(Strict):
    """An environment variable with a value, or with the place it comes from."""

    name: str = Field(min_length=1, pattern=r"^[^=\x00]+$")
    value: str | None = None
    value_from: ValueFrom | None = None


class SourceRef(Strict):
    """A whole ConfigMap or Secret."""

    name: str
    optional: bool = False


class EnvFrom(Strict):
    """All keys of a ConfigMap or Secret, each with `prefix` before it."""

    prefix: str = ""
    config_map_ref: SourceRef | None = None
    secret_ref: SourceRef | None = None


class ContainerPort(Strict):
    """A port that a container listens on."""

    name: str | None = None
    container_port: Port
    protocol: Literal["TCP"] = "TCP"


class HttpGet(Strict):
    """GET `path` must answer 200 to 399."""

    path: str = "/"
    port: PortRef
    scheme: Literal["HTTP"] = "HTTP"


class TcpSocket(Strict):
    """A TCP connection must open."""

    port: PortRef


class Probe(Strict, cluster_only="initialDelaySeconds"):
    """How to see that a container works.

    `initialDelaySeconds` changes nothing here: a process is probed from its
    start, and a liveness probe counts once the container was ready.
    """

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    period_seconds: int = Field(default=10, ge=1)
    timeout_seconds: int = Field(default=1, ge=1)
    failure_threshold: int = Field(default=3, ge=1)
    success_threshold: Literal[1] = 1


class Sleep(Strict):
    """Seconds to wait before the stop signal."""

    seconds: int = Field(ge=0)


class PreStop(Strict):
    """Only a sleep: here a pod gets no traffic before it is told to stop."""

    sleep: Sleep


class Lifecycle(Strict):
    """Hooks of a container."""

    pre_stop: PreStop


class Container(
    Strict,
    cluster_only=(
        "imagePullPolicy resources securityContext terminationMessagePath terminationMessagePolicy"
    ),
):
    """A container."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    image: str = ""
    command: list[str] = Field(default=[])
    args: list[str] = Field(default=[])
    env: list[EnvVar] = Field(default=[])
    env_from: list[EnvFrom] = Field(default=[])
    ports: list[ContainerPort] = Field(default=[])
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    volume_mounts: list[VolumeMount] = Field(default=[])


class PodSpec(
    Strict,
    cluster_only=(
        "automountServiceAccountToken serviceAccountName securityContext "
        "imagePullSecrets priorityClassName affinity nodeSelector tolerations "
        "topologySpreadConstraints"
    ),
):
    """Containers that run together under one address."""

    containers: list[Container] = Field(min_length=1)
    volumes: list[Volume] = Field(default=[])
    termination_grace_period_seconds: int | None = Field(default=None, ge=0)
    restart_policy: Literal["Always"] = "Always"


class TemplateMetadata(Strict, cluster_only="creationTimestamp"):
    """Metadata of a pod template."""

    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class PodTemplate(Strict):
    """The template of a Deployment's pods."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: PodSpec


def pod_faults(spec: PodSpec, path: Path) -> Iterator[Fault]:
    """Rules over several fields of a pod."""
    yield from volume_faults(spec.volumes, (*path, "volumes"))
    names: set[str] = set()
    for index, container in enumerate(spec.containers):
        at = (*path, "containers", index)
        if container.name in names:
            yield Fault((*at, "name"), f"is {container.name!r}, which another container has")
        names.add(container.name)
        yield from mount_faults(container.volume_mounts, spec.volumes, (*at, "volumeMounts"))
        yield from _env_faults(container, at)
        for field, probe in (
            ("readinessProbe", container.readiness_probe),
            ("livenessProbe", container.liveness_probe),
        ):
            if probe is not None:
                yield from _probe_faults(probe, container, (*at, field))


def _env_faults(container: Container, at: Path) -> Iterator[Fault]:
    for i, variable in enumerate(container.env):
        source = variable.value_from
        if source is None:
            continue
        given = [source.field_ref, source.config_map_key_ref, source.secret_key_ref]
        if variable.value is not None or sum(one is not None for one in given) != 1:
            yield Fault(
                (*at, "env", i),
                "must have a value, or a valueFrom with exactly one of fieldRef,"
                " configMapKeyRef and secretKeyRef",
            )
    for i, whole in enumerate(container.env_from):
        if (whole.config_map_ref is None) == (whole.secret_ref is None):
            yield Fault((*at, "envFrom", i), "must have either configMapRef or secretRef")


def _probe_faults(probe: Probe, container: Container, at: Path) -> Iterator[Fault]:
    action = probe.http_get or probe.tcp_socket
    if action is None or (probe.http_get and probe.tcp_socket):
        yield Fault(at, "must have either httpGet or tcpSocket")
        return
    named = {port.name for port in container.ports}
    if isinstance(action.port, str) and action.port not in named:
        field = "httpGet" if probe.http_get else "tcpSocket"
        yield Fault((*at, field, "port"), f"is {action.port!r}: the container has no such port")


class Strategy(Strict, cluster_only="rollingUpdate"):
    """New pods are ready before old ones go; there is no other way here."""

    type: Literal["RollingUpdate"] = "RollingUpdate"


class DeploymentSpec(
    Strict,
    cluster_only="revisionHistoryLimit progressDeadlineSeconds minReadySeconds",
):
    """The spec of a Deployment."""

    replicas: int = Field(default=1, ge=0)
    selector: LabelSelector
    template: PodTemplate
    strategy: Strategy = Strategy()


class Deployment(Manifested):
    """Our own components: pods of one template, replaced without a gap."""

    spec: DeploymentSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        labels = self.spec.template.metadata.labels
        for name, value in self.spec.selector.match_labels.items():
            if labels.get(name) != value:
                yield Fault(
                    ("spec", "selector", "matchLabels", name),
                    f"is {value!r}: spec.template.metadata.labels must have the same",
                )
        yield from pod_faults(self.spec.template.spec, ("spec", "template", "spec"))
        for index, container in enumerate(self.spec.template.spec.containers):
            if not container.image:
                path = ("spec", "template", "spec", "containers", index, "image")
                yield Fault(path, "is missing: add it")
