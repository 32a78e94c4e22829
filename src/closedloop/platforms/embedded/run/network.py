"""Addresses and ports of one platform, all of them in the loopback range 127.0.0.0/8.

A platform takes a random 127.X.Y.0/24. Its API server listens at .1 on a
port that is the same for every platform, so that two platforms cannot take
the same network. Every pod gets one of the other addresses, every Service port
a port of 127.0.0.1. Such a port is bound by Envoy, some time after it was
picked; until then, and for as long as the platform lives, the same port of
another loopback address is held, where every platform looks before it picks.
"""

import random
import socket

from closedloop.machine import why_taken
from closedloop.platforms.protocol import PlatformError

API_PORT = 7003
GATEWAY_PORT = 8003

_HELD = "127.1.0.1"
_ATTEMPTS = 64
# Below the range from which Linux takes the ports of outgoing connections (32768 and up).
_SERVICE_PORTS = range(20000, 32000)


def claim(chance: random.Random | None = None) -> tuple["Network", socket.socket]:
    """Take a free network; returns it with the bound socket of its API server.

    Raises `PlatformError` when none can be had.
    """
    chance = chance or random.Random()
    failure: OSError | None = None
    for _ in range(_ATTEMPTS):
        network = Network(f"127.{chance.randint(2, 254)}.{chance.randint(0, 254)}", chance)
        control = socket.socket()
        try:
            # Closing connections of an earlier platform are no obstacle, a listener is.
            control.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            control.bind((network.control, API_PORT))
            control.listen(128)
        except OSError as error:
            control.close()
            failure = error
            continue
        return network, control
    raise PlatformError(
        f"no address 127.X.Y.1 has port {API_PORT} free ({failure}):"
        f" stop the program that listens at port {API_PORT} on all addresses"
    )


class Network:
    """The addresses and ports that one platform has given away."""

    def __init__(self, prefix: str, chance: random.Random | None = None) -> None:
        self._prefix = prefix
        self._chance = chance or random.Random()
        self._used: set[int] = {1}
        self._last = 1
        self._ports: dict[str, int] = {}
        self._gateway: int | None = None
        self._holds: list[socket.socket] = []

    @property
    def control(self) -> str:
        """The address of the API server."""
        return f"{self._prefix}.1"

    def take_address(self) -> str:
        """An address for a pod. Raises `PlatformError` when all are in use."""
        # In turn, so that a new pod is not taken for the one that had its address before.
        for step in range(1, 254):
            number = (self._last + step - 2) % 253 + 2
            if number not in self._used:
                self._used.add(number)
                self._last = number
                return f"{self._prefix}.{number}"
        raise PlatformError(
            "all 253 pods that one machine can have exist: delete some or lower their replicas"
        )

    def give_back(self, address: str) -> None:
        """Let another pod have this address."""
        self._used.discard(int(address.rpartition(".")[2]))

    def service_port(self, host: str) -> int:
        """The port at 127.0.0.1 of a service host; the same one every time."""
        if host not in self._ports:
            self._ports[host] = self._free_port()
        return self._ports[host]

    @property
    def gateway_port(self) -> int:
        """The gateway's port at 127.0.0.1: 8003, or the next that was free when first asked."""
        if self._gateway is None:
            self._gateway = next(port for port in range(GATEWAY_PORT, 65536) if self._hold(port))
        return self._gateway

    def close(self) -> None:
        """Let other platforms have the ports; nothing should listen on them any more."""
        while self._holds:
            self._holds.pop().close()

    def _hold(self, port: int) -> bool:
        """Take a port of 127.0.0.1, unless a program or another platform has it."""
        hold = socket.socket()
        try:
            hold.bind((_HELD, port))
        except OSError:
            hold.close()
            return False
        if why_taken("127.0.0.1", port):
            hold.close()
            return False
        self._holds.append(hold)
        return True

    def _free_port(self) -> int:
        given = {*self._ports.values(), self._gateway}
        start = self._chance.randrange(len(_SERVICE_PORTS))
        for step in range(len(_SERVICE_PORTS)):
            port = _SERVICE_PORTS[(start + step) % len(_SERVICE_PORTS)]
            if port not in given and self._hold(port):
                return port
        raise PlatformError(
            f"127.0.0.1 has no free port from {_SERVICE_PORTS.start} to {_SERVICE_PORTS.stop - 1}:"
            " stop programs that listen there"
        )


def port_of_part(address: str, usual: int) -> int:
    """The usual port of a part at its own address, or another when a program listens everywhere."""
    if not why_taken(address, usual):
        return usual
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
