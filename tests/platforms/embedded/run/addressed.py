from dataclasses import dataclass

from closedloop.platforms.embedded.desired import Pod


@dataclass(frozen=True)
class AddressedPod:
    """A pod as Services and Prometheus see it, without processes."""

    pod: Pod
    name: str
    address: str
    available: bool = True
