"""The routes and services in effect: those that are desired, but never ahead of the pods."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from closedloop.platforms.embedded.desired import Pod, Route, ServicePort
from closedloop.platforms.embedded.run.endpoints import Addressed, endpoints, selects


@dataclass(frozen=True, slots=True)
class Routing:
    """Envoy's task: routes, services by service host, and the addresses behind them."""

    routes: tuple[Route, ...] = ()
    services: Mapping[str, ServicePort] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)

    def needs(self, pods: Iterable[Pod]) -> bool:
        """Whether a route leads to one of these pods."""
        services = [self.services[host] for route in self.routes for host in route.hosts]
        return any(
            service.namespace == pod.namespace and selects(service.selector, pod)
            for pod in pods
            for service in services
        )


def plan(
    routes: Sequence[Route],
    services: Iterable[ServicePort],
    pods: Sequence[Addressed],
    before: Routing,
) -> Routing:
    """The routing that should be in effect next.

    A new or changed route comes into effect when every service that it leads
    to has a ready pod; until then the one before stays, together with the
    services that it leads to, although nothing describes them any more.
    """
    wanted = {one.host: one for one in services}
    known = {**before.services, **wanted}
    answering = endpoints(known.values(), pods)
    current = {route.prefix: route for route in before.routes}
    chosen = []
    for route in routes:
        old = current.get(route.prefix)
        if route == old or all(answering.get(host) for host in route.hosts):
            chosen.append(route)
        elif old is not None:
            chosen.append(old)
    used = {host for route in chosen for host in route.hosts}
    kept = {host: one for host, one in known.items() if host in wanted or host in used}
    return Routing(tuple(chosen), kept, {host: answering[host] for host in kept})
