"""Which pods answer for a service: Kubernetes' endpoints, for the pods that run here."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from closedloop.platforms.embedded.desired import Pod, ServicePort


class Addressed(Protocol):
    """A pod that was given a name and an address; `available` when calls may be sent to it."""

    @property
    def pod(self) -> Pod: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def available(self) -> bool: ...


def endpoints(
    services: Iterable[ServicePort], pods: Iterable[Addressed]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """The addresses of the available pods of every service port, by service host.

    A pod without the port that `target` names is not among them, as in a cluster.
    """
    available = [one for one in pods if one.available]
    result: dict[str, tuple[tuple[str, int], ...]] = {}
    for service in services:
        chosen = []
        for one in available:
            port = _port(service, one.pod)
            if (
                port is not None
                and one.pod.namespace == service.namespace
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
