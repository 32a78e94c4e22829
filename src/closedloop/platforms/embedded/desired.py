"""What should run: the reconciler's answer to a set of manifests, as plain data.

The reconciler (pure) makes a `Desired` out of objects; the daemon compares it
with what runs and closes the gap. Every pod has an address of its own in the
loopback range, so ports are those of the manifest, as in a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """One container: what to run and how to see that it works.

    `revision` changes with everything that matters to the process, so that a
    new one is a new process. `stop_grace` is seconds from SIGTERM to SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    readiness: Probe | None = None
    liveness: Probe | None = None
    stop_grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Pod:
    """Processes that live and die together under one loopback address.

    The placeholder `{pod_ip}` in argv and env is filled in when the pod gets
    its address. `revision` changes with whatever makes it another pod.
    """

    workload: str  # "namespace/name" of the Deployment that a cluster would make
    owner: str  # "kind/namespace/name" of the object that describes it
    labels: Mapping[str, str]
    processes: tuple[Process, ...]
    ports: Mapping[str, int]  # container port names, for PodMonitor and Service targetPort
    revision: str


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service: traffic to it goes to the ready pods that `selector` matches."""

    namespace: str
    service: str
    name: str
    port: int
    target: str | int  # a container port's name or number
    selector: Mapping[str, str]


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


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """A Broker: its delivery defaults are in `delivery`, as in the manifest."""

    namespace: str
    name: str
    delivery: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """A Trigger, with subscriber and dead-letter sink as URLs that can be called."""

    namespace: str
    name: str
    broker: str
    filters: Mapping[str, str]
    subscriber: str
    delivery: Mapping[str, object]  # dead-letter sink resolved to {"deadLetterSink": {"uri": ...}}
    replay: bool = False


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """What Prometheus should scrape: endpoints of a PodMonitor over the pods it selects."""

    job: str
    namespace: str | None  # None: pods of every namespace
    selector: Mapping[str, str]
    port: str
    path: str
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that a set of objects asks for."""

    pods: tuple[Pod, ...] = ()
    services: tuple[ServicePort, ...] = ()
    routes: tuple[Route, ...] = ()
    brokers: tuple[BrokerSpec, ...] = ()
    triggers: tuple[TriggerSpec, ...] = ()
    scrapes: tuple[ScrapeTarget, ...] = ()
    rules: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # file name: groups
