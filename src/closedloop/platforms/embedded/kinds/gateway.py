"""Gateway: the port at which every request enters; Envoy's own port on this machine."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.kinds.base import Fault, Manifested, Port, Strict

# The labels of the pods that Istio's gateway chart makes for the release
# `istio-ingressgateway`, which the Envoy of this machine stands in for.
GATEWAY_LABELS = {"app": "istio-ingressgateway", "istio": "ingressgateway"}


class GatewayPort(Strict):
    """A port of the gateway: plain HTTP."""

    number: Port
    name: str
    protocol: Literal["HTTP"]


class Server(Strict):
    """A server: any host."""

    port: GatewayPort
    hosts: list[Literal["*"]] = Field(min_length=1, max_length=1)


class GatewaySpec(Strict):
    """The spec of a Gateway."""

    selector: dict[str, str] = Field(min_length=1)
    servers: list[Server] = Field(min_length=1, max_length=1)


class Gateway(Manifested):
    """The port at which every request enters: Envoy's own on this machine."""

    spec: GatewaySpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        for name, value in self.spec.selector.items():
            if GATEWAY_LABELS.get(name) != value:
                labels = ", ".join(f"{key}={text}" for key, text in GATEWAY_LABELS.items())
                yield Fault(
                    ("spec", "selector", name),
                    f"is {value!r}: no gateway has this label, the one that there is has {labels}",
                )
