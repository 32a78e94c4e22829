"""Which pods answer for a service: Kubernetes' endpoints, for the pods that run here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from closedloop.platforms.embedded.desired import Pod, ServicePort


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod that was given a name and an address."""

    pod: Pod
    name: str
    address: str
    ready: bool = True

    @property
    def namespace(self) -> str:
        return self.pod.workload.partition("/")[0]


def endpoints(
    services: Iterable[ServicePort], pods: Iterable[RunningPod]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """The addresses of the ready pods of every service port, by service host.

    A pod without the port that `target` names is not among them, as in a cluster.
    """
    ready = [one for one in pods if one.ready]
    result: dict[str, tuple[tuple[str, int], ...]] = {}
    for service in services:
        chosen = []
        for one in ready:
            port = _port(service, one.pod)
            if (
                port is not None
                and one.namespace == service.namespace
                and selects(service.selector, one.pod)
            ):
                chosen.append((one.address, port))
        result[service.host] = tuple(sorted(chosen))
    return result


def selects(selector: Mapping[str, str], pod: Pod) -> bool:
    """Whether a pod has all of a selector's labels."""
    return all(pod.labels.get(name) == value for name, value in selector.items())


def _port(service: ServicePort, pod: Pod) -> int | None:
    if isinstance(service.target, int):
        return service.target
    return pod.ports.get(service.target)
