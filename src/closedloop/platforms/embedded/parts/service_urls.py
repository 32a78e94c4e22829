"""The URL of every Service as seen from this machine."""

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.run.network import Network
from closedloop.platforms.parts import named
from closedloop.platforms.protocol import PlatformError

_GATEWAY = named("gateway")[0]
_GATEWAY_PORTS = (80, "http2", "http", None)


class Urls:
    """URLs of Services. `elsewhere` holds those that are not on this machine, by service host."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.elsewhere: dict[str, str] = {}

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self._network.gateway_port}"

    def url_of(self, namespace: str, service: str, port: int) -> str:
        """Where an in-cluster URL leads: the same answer before and after the Service exists.

        As a cluster's DNS does for the names in an environment, it lets
        objects come in any order without restarting those that came first.
        """
        if f"{namespace}/{service}" == _GATEWAY.path and port == 80:
            return self.gateway
        host = f"{service}.{namespace}:{port}"
        if host in self.elsewhere:
            return self.elsewhere[host]
        return f"http://127.0.0.1:{self._network.service_port(host)}"

    def find(self, name: str, port: str | int | None, services: Iterable[ServicePort]) -> str:
        """The URL of Service `namespace/name`; without `port`, of `http` or its first one.

        Raises `PlatformError` when there is no such Service or port.
        """
        namespace, _, service = name.partition("/")
        if name == _GATEWAY.path and port in _GATEWAY_PORTS:
            return self.gateway
        known = list(services)
        ports = [one for one in known if (one.namespace, one.service) == (namespace, service)]
        if not ports:
            names = sorted({f"{one.namespace}/{one.service}" for one in known})
            raise PlatformError(
                f"there is no Service {name}: apply it, or name one of {', '.join(names) or 'none'}"
            )
        if port is None:
            chosen = next((one for one in ports if one.name == "http"), ports[0])
        else:
            for chosen in ports:
                if port in (chosen.port, chosen.name, str(chosen.port)):
                    break
            else:
                there = ", ".join(f"{one.name} ({one.port})" for one in ports)
                raise PlatformError(f"Service {name} has no port {port}: it has {there}")
        return self.url_of(chosen.namespace, chosen.service, chosen.port)


def without_password(url: str) -> str:
    """A URL as it may be shown: without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
