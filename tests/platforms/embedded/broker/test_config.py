import pytest

from closedloop.platforms.embedded.broker.config import InvalidConfig, from_json, to_json
from closedloop.platforms.embedded.desired import Delivery, Trigger

OWN = Delivery(retry=8, policy="linear", delay=60.5, timeout=5.0, dead_letter="http://127.0.0.1:1/")
TRIGGERS = [
    Trigger("logs/all", "logs/default", {}, "http://127.0.0.1:1/"),
    Trigger("logs/own", "logs/default", {"type": "t"}, "http://127.0.0.1:1/x", OWN, replay=True),
]


def test_what_is_written_is_read() -> None:
    config = from_json(to_json(["logs/default"], TRIGGERS).encode())
    assert config.brokers == {"logs/default"}
    assert list(config.triggers.values()) == TRIGGERS
    assert list(config.triggers) == ["logs/all", "logs/own"]


@pytest.mark.parametrize(
    "document",
    [b"", b"\xff", b"{", b"[]", b"null", b'{"brokers":[]}', b'{"brokers":5,"triggers":[]}'],
)
def test_what_is_no_configuration_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidConfig, match=r"^the configuration cannot be used: ") as caught:
        from_json(document)
    assert "\n" not in str(caught.value)


def test_a_bad_trigger_is_refused_with_its_field() -> None:
    document = to_json([], TRIGGERS).replace("8,", '"eight",')
    with pytest.raises(InvalidConfig, match=r"triggers\[1\]\.delivery\.retry is 'eight'"):
        from_json(document.encode())
