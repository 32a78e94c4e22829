import random
import socket
from contextlib import closing

import pytest

from closedloop.platforms.embedded.run import network
from closedloop.platforms.embedded.run.network import Network, claim, port_of_part
from closedloop.platforms.protocol import PlatformError
from tests.ports import free_port


def test_two_platforms_never_share_a_network() -> None:
    first, first_socket = claim(random.Random(1))
    with first_socket:
        second, second_socket = claim(random.Random(1))  # would choose the same one
        with second_socket:
            assert first.control != second.control
            assert second.control.startswith("127.")


def test_control_port_taken_everywhere_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 - the case is a program that listens everywhere
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(network, "API_PORT", port)
        with pytest.raises(PlatformError, match=f"port {port} on all addresses"):
            claim()


def test_addresses_are_given_in_turn_and_run_out() -> None:
    net = Network("127.3.4")
    first = net.take_address()
    assert first == "127.3.4.2"
    net.give_back(first)
    assert net.take_address() == "127.3.4.3"
    rest = {net.take_address() for _ in range(252)}
    assert len(rest) == 252
    assert net.control not in rest
    with pytest.raises(PlatformError, match="253 pods"):
        net.take_address()
    net.give_back("127.3.4.9")
    assert net.take_address() == "127.3.4.9"


def test_service_keeps_its_port() -> None:
    with closing(Network("127.3.4", random.Random(7))) as net:
        port = net.service_port("a.b:80")
        assert net.service_port("a.b:81") != port
        assert net.service_port("a.b:80") == port


def test_two_platforms_never_pick_the_same_port() -> None:
    with (
        closing(Network("127.3.4", random.Random(7))) as one,
        closing(Network("127.3.5", random.Random(7))) as other,
    ):
        assert one.service_port("a.b:80") != other.service_port("a.b:80")
        assert one.gateway_port != other.gateway_port


def test_ports_are_free_again_when_their_platform_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only = free_port()  # no platform beside this one takes it in between
    monkeypatch.setattr(network, "_SERVICE_PORTS", range(only, only + 1))
    with closing(Network("127.3.4", random.Random(7))) as one:
        port = one.service_port("a.b:80")
    with closing(Network("127.3.4", random.Random(7))) as other:
        assert other.service_port("a.b:80") == port


def test_gateway_takes_the_next_port_when_its_own_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1]
        monkeypatch.setattr(network, "GATEWAY_PORT", wanted)
        with closing(Network("127.3.4")) as net:
            assert net.gateway_port > wanted
            assert net.gateway_port == net.gateway_port


def test_part_listens_elsewhere_when_a_program_has_its_port() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 - the case is a program that listens everywhere
        other.listen()
        usual = other.getsockname()[1]
        assert port_of_part("127.3.4.5", usual) != usual
    assert port_of_part("127.3.4.5", usual) == usual
