"""The desired state: the reconciler's answer to a set of manifests, as plain data.

The reconciler (pure) makes a `Desired` out of objects; the daemon compares it
with the running processes and closes the gap. Every pod has an address of its own in the
loopback range, so ports are those of the manifest, as in a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Probe:
    """How to see that a process works: GET `path`, or a TCP connect when `path` is None.

    Times are in seconds, as in a Kubernetes probe.
    """

    port: int
    path: str | None = None
    period: float = 1.0
    timeout: float = 1.0
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Process:
    """One container: its command, and how to see that it works.

    `ports` are the container's own port names, which a PodMonitor means: two
    containers of a pod may each have a port `metrics`. `stop_grace` is seconds
    from SIGTERM to SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    readiness: Probe | None = None
    liveness: Probe | None = None
    stop_grace: float = 10.0
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume."""

    content: bytes
    mode: int = 0o644


# The files of a volume by their path in it.
Files = Mapping[str, File]


@dataclass(frozen=True, slots=True)
class Pod:
    """Processes that live and die together under one loopback address.

    The placeholders `{pod_ip}` and `{pod_folder}` in argv and env are filled in when
    the pod gets its address and a folder of its own; replace these texts only, since
    other braces are JSON.
    `revision` changes with everything that makes it another pod. A workload with n
    replicas is n equal pods. While it `waits_for` something, no new one starts;
    one that runs goes on.
    """

    workload: str  # "namespace/name" of the Deployment that a cluster would make
    owner: str  # "kind/namespace/name" of the object that describes it
    labels: Mapping[str, str]
    processes: tuple[Process, ...]
    ports: Mapping[str, int]  # name to port, of the first container that has it, for targetPort
    revision: str
    waits_for: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        return self.workload.partition("/")[0]


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service: traffic to it goes to the ready pods that `selector` matches."""

    namespace: str
    service: str
    name: str
    port: int
    target: str | int  # a container port's name or number
    selector: Mapping[str, str]

    @property
    def host(self) -> str:
        """The service host, `<service>.<namespace>:<port>`, by which routes name it."""
        return f"{self.service}.{self.namespace}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP route of the gateway, as the VirtualService that Seldon's operator makes.

    `backends` are (service host, weight in percent); `mirror` is a service
    host and the percentage of requests mirrored to it. A service host is
    `<service>.<namespace>:<port>`.
    """

    prefix: str
    rewrite: str
    backends: tuple[tuple[str, int], ...]
    mirror: tuple[str, float] | None = None

    @property
    def deployment(self) -> str:
        """The SeldonDeployment `namespace/name` that is reached at the prefix."""
        return self.prefix.removeprefix("/seldon/").removesuffix("/")

    @property
    def hosts(self) -> list[str]:
        """Every service host that it leads to."""
        mirrored = [] if self.mirror is None else [self.mirror[0]]
        return [host for host, _ in self.backends] + mirrored


@dataclass(frozen=True, slots=True)
class Delivery:
    """How hard to try to hand an event to a subscriber, and the URL for one that nobody took.

    Times are in seconds. The defaults are a cluster's (`config-br-defaults`),
    but for the timeout: Knative waits for an answer as long as the connection
    lives, and a subscriber that hangs must not hold its place for ever.
    """

    retry: int = 10
    policy: Literal["linear", "exponential"] = "exponential"
    delay: float = 0.2
    timeout: float = 60.0
    dead_letter: str | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Which events of a broker go to the URL `subscriber`; names are `namespace/name`."""

    name: str
    broker: str
    filters: Mapping[str, str]
    subscriber: str
    delivery: Delivery = Delivery()
    replay: bool = False

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """A task of Prometheus: an endpoint of a PodMonitor over the pods it selects."""

    job: str
    namespace: str | None  # None: pods of every namespace
    selector: Mapping[str, str]
    port: str
    path: str
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that a set of objects asks for.

    `problems` says, for objects by `kind/namespace/name`, what they refer to
    and is not there: what cannot do without it is left out until it comes, as
    in a cluster, where such an object is accepted and not ready. `folders` are
    volumes by their path on this machine; one that is not named keeps its files.
    """

    pods: tuple[Pod, ...] = ()
    services: tuple[ServicePort, ...] = ()
    routes: tuple[Route, ...] = ()
    brokers: tuple[str, ...] = ()  # namespace/name
    triggers: tuple[Trigger, ...] = ()
    scrapes: tuple[ScrapeTarget, ...] = ()
    rules: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # file name: groups
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folders: Mapping[str, Files] = field(default_factory=dict)
