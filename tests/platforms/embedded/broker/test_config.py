import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from closedloop.platforms.embedded.broker.config import Config, InvalidConfig, from_json
from closedloop.platforms.embedded.desired import BrokerSpec, TriggerSpec

BROKER = BrokerSpec("logs", "default", {"retry": 8})
TRIGGER = TriggerSpec("logs", "all", "default", {"type": "t"}, "http://127.0.0.1:1/", {})


def config(*triggers: TriggerSpec, broker: BrokerSpec = BROKER) -> Config:
    document = {"brokers": [asdict(broker)], "triggers": [asdict(one) for one in triggers]}
    return from_json(json.dumps(document).encode())


def test_a_triggers_delivery_replaces_its_brokers_as_a_whole() -> None:
    own = {"deadLetterSink": {"uri": "http://127.0.0.1:1/dead"}}
    read = config(TRIGGER, replace(TRIGGER, name="own", delivery=own)).triggers
    assert read["logs/all"].delivery.retry == 8
    assert read["logs/own"].delivery.retry == 0
    assert read["logs/own"].delivery.dead_letter == "http://127.0.0.1:1/dead"


def test_neither_says_anything_then_the_clusters_default_holds() -> None:
    read = config(TRIGGER, broker=BrokerSpec("logs", "default")).triggers
    assert read["logs/all"].delivery.retry == 10


def test_names_have_their_namespace() -> None:
    read = config(TRIGGER)
    assert read.brokers == {"logs/default"}
    assert read.triggers["logs/all"].broker == "logs/default"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "No Name"}, "trigger 'logs/No Name' is no name"),
        ({"namespace": "a.b"}, "trigger 'a.b/all' is no name"),
        ({"filters": {"my-type": "x"}}, "trigger logs/all: filter attribute 'my-type'"),
        ({"filters": {"type": 5}}, r"triggers\[0\].filters.type is 5"),
        ({"subscriber": "metrics-server"}, "trigger logs/all: subscriber is 'metrics-server'"),
        ({"delivery": {"retry": -1}}, "trigger logs/all: delivery.retry is -1"),
    ],
)
def test_a_bad_trigger_is_one_sentence_that_names_it(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig, match="^" + says) as caught:
        config(replace(TRIGGER, **change))
    assert "\n" not in str(caught.value)


def test_a_bad_broker_is_named() -> None:
    with pytest.raises(InvalidConfig, match=r"^broker logs/default: delivery\.retry is -1"):
        config(broker=BrokerSpec("logs", "default", {"retry": -1}))


def test_a_trigger_is_there_once() -> None:
    with pytest.raises(InvalidConfig, match="trigger logs/all is there twice"):
        config(TRIGGER, TRIGGER)


@pytest.mark.parametrize(
    "document",
    [b"", b"\xff", b"{", b"[]", b"null", b'{"brokers":[]}', b'{"brokers":5,"triggers":[]}'],
)
def test_what_is_no_configuration_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidConfig):
        from_json(document)
