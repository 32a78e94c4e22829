"""Objects as clients written in Go send them."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.protobuf import decode


def _field(number: int, value: int | bytes | str) -> bytes:
    """A field on the wire; numbers and lengths here are below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    raw = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(raw)]) + raw


def _object(kind: str, *fields: bytes, version: str = "v1") -> bytes:
    about = _field(1, version) + _field(2, kind)
    return b"k8s\x00" + _field(1, about) + _field(2, b"".join(fields)) + _field(3, "")


NAME = _field(1, _field(1, "one") + _field(2, "") + _field(8, b""))


def test_zeros_are_left_out_as_in_json() -> None:
    assert decode(_object("Namespace", NAME, _field(2, b""), _field(3, _field(1, "")))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "one"},
    }


def test_maps_and_bytes() -> None:
    entry = _field(1, "key") + _field(2, b"\x01")
    found = decode(_object("Secret", NAME, _field(2, entry), _field(3, "Opaque")))
    assert (found["data"], found["type"]) == ({"key": "AQ=="}, "Opaque")


def test_a_deployment_without_replicas_stays_so() -> None:
    container = _field(1, "c") + _field(2, "image") + _field(3, "a") + _field(3, "b")
    template = _field(2, _field(2, container))
    selector = _field(1, _field(1, "app") + _field(2, "x"))
    spec = _field(1, 0) + _field(2, selector) + _field(3, template) + _field(4, _field(1, ""))
    found: Any = decode(_object("Deployment", NAME, _field(2, spec), version="apps/v1"))
    assert found["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "spec": {"containers": [{"name": "c", "image": "image", "command": ["a", "b"]}]}
        },
    }


@pytest.mark.parametrize(
    ("port", "expected"),
    [(_field(1, 0) + _field(2, 80), 80), (_field(1, 1) + _field(2, 0) + _field(3, "web"), "web")],
)
def test_ports_are_numbers_or_names(port: bytes, expected: object) -> None:
    spec = _field(1, _field(3, 80) + _field(4, port))
    (found,) = decode(_object("Service", NAME, _field(2, spec)))["spec"]["ports"]
    assert found == {"port": 80, "targetPort": expected}


def test_what_is_not_read_is_refused_and_not_lost() -> None:
    with pytest.raises(Refusal, match="a Job is not read in protobuf"):
        decode(_object("Job", NAME))
    network = _field(2, _field(3, _field(2, _field(11, 1))))
    with pytest.raises(Refusal, match=r"field 11 of Deployment\.spec\.template\.spec"):
        decode(_object("Deployment", NAME, network, version="apps/v1"))


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(raw: bytes) -> None:
    for start in (b"", b"k8s\x00", _object("ConfigMap")[:-3]):
        with contextlib.suppress(Refusal):
            decode(start + raw)


def test_a_number_in_the_place_of_a_message_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        decode(_object("ConfigMap", bytes([1 << 3, 127])))
    assert refused.value.code == 400
