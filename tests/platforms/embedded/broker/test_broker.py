from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from closedloop.platforms.embedded.desired import Delivery
from tests.platforms.embedded.broker.parts import (
    BrokerProcess,
    Nats,
    Subscriber,
    event,
    trigger,
    until,
)

pytestmark = pytest.mark.embedded


def send(broker: BrokerProcess, *numbers: int, to: str = "default") -> None:
    for number in numbers:
        url = f"{broker.url}/seldon-logs/{to}"
        assert requests.post(url, headers=event(number), timeout=60).status_code == 202


def replay(broker: BrokerProcess, query: str) -> requests.Response:
    return requests.post(f"{broker.url}/-/replay{query}", timeout=60)


def test_a_reload_adds_changes_and_removes_triggers(
    broker: BrokerProcess, subscriber: Subscriber, other: Subscriber
) -> None:
    broker.configure(trigger("all", subscriber.url))
    broker.start()
    send(broker, 1)
    broker.configure(trigger("all", subscriber.url), trigger("new", other.url))
    assert broker.reload().status_code == 200
    send(broker, 2)
    until(lambda: subscriber.ids == {"e1": 1, "e2": 1} and other.ids == {"e2": 1})
    filters = {"id": "e4"}
    broker.configure(trigger("new", other.url, filters=filters))
    assert broker.reload().status_code == 200
    send(broker, 3, 4)
    until(lambda: other.ids == {"e2": 1, "e4": 1})
    assert set(subscriber.ids) == {"e1", "e2"}
    assert list(broker.status()["triggers"]) == ["seldon-logs/new"]
    # A trigger that comes back is a new one.
    broker.configure(trigger("all", subscriber.url))
    assert broker.reload().status_code == 200
    send(broker, 5)
    until(lambda: set(subscriber.ids) == {"e1", "e2", "e5"})


def test_what_nobody_has_delivered_yet_survives_a_changed_subscriber(
    broker: BrokerProcess, subscriber: Subscriber
) -> None:
    delivery = Delivery(retry=9, delay=0.2)
    broker.configure(trigger("all", "http://127.0.0.1:1/", delivery=delivery))
    broker.start()
    send(broker, *range(20))
    broker.configure(trigger("all", subscriber.url, delivery=delivery))
    assert broker.reload().status_code == 200
    until(lambda: len(subscriber.ids) == 20)


def test_a_trigger_waits_for_its_broker_and_brokers_are_apart(
    broker: BrokerProcess, subscriber: Subscriber, other: Subscriber
) -> None:
    triggers = (trigger("one", subscriber.url), trigger("two", other.url, broker="second"))
    broker.configure(*triggers)
    broker.start()
    assert "waits for" in broker.status()["triggers"]["seldon-logs/two"]["note"]
    broker.configure(*triggers, brokers=("default", "second"))
    assert broker.reload().status_code == 200
    send(broker, 1)
    send(broker, 1, 2, to="second")
    until(lambda: subscriber.ids == {"e1": 1} and other.ids == {"e1": 1, "e2": 1})
    broker.configure(triggers[0])
    assert broker.reload().status_code == 200
    url = f"{broker.url}/seldon-logs/second"
    assert requests.post(url, headers=event(3), timeout=60).status_code == 404


def test_a_bad_file_leaves_the_old_configuration(
    broker: BrokerProcess, subscriber: Subscriber
) -> None:
    broker.configure(trigger("all", subscriber.url))
    broker.start()
    for document in ("", "{", "[]", '{"brokers": []}', '{"brokers": [], "triggers": [{}]}'):
        broker.config.write_text(document)
        answer = broker.reload()
        assert (answer.status_code, answer.text.count("\n"), document) == (400, 0, document)
    broker.config.unlink()
    assert broker.reload().status_code == 500
    send(broker, 1)
    until(lambda: subscriber.ids == {"e1": 1})


def test_a_reload_says_so_when_nats_stays_away(broker: BrokerProcess, nats: Nats) -> None:
    broker.hold = 3
    broker.start()
    nats.kill()
    assert broker.reload().status_code == 503


def test_a_reload_waits_for_nats(broker: BrokerProcess, nats: Nats, subscriber: Subscriber) -> None:
    broker.start()
    nats.kill()
    broker.configure(trigger("all", subscriber.url))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(broker.reload)
        nats.start()
        assert answer.result().status_code == 200
    send(broker, 1)
    until(lambda: subscriber.ids == {"e1": 1})


def test_it_does_not_start_without_a_configuration(broker: BrokerProcess) -> None:
    broker.config.unlink()
    super(BrokerProcess, broker).start()
    assert broker.process is not None
    assert broker.process.wait(60) == 1
    assert "Traceback" not in broker.log()


def test_a_replay_delivers_what_is_retained_to_one_trigger(
    broker: BrokerProcess, subscriber: Subscriber, other: Subscriber
) -> None:
    broker.configure(
        trigger("all", subscriber.url, filters={"type": "io.seldon.serving.feedback"}),
        trigger("other", other.url),
    )
    broker.start()
    send(broker, *range(30))
    until(lambda: len(subscriber.ids) == len(other.ids) == 30)
    answer = replay(broker, "?trigger=seldon-logs/all")
    assert answer.status_code == 202
    assert answer.json() == {"trigger": "seldon-logs/all", "events": 30}
    until(lambda: set(subscriber.ids.values()) == {2})
    send(broker, 30)
    name = "seldon-logs/all"
    until(lambda: not broker.status()["triggers"][name]["replaying"])
    until(lambda: "e30" in subscriber.ids and "e30" in other.ids)
    assert subscriber.ids == dict.fromkeys((f"e{n}" for n in range(30)), 2) | {"e30": 1}
    assert set(other.ids.values()) == {1}
    assert replay(broker, "?trigger=seldon-logs/all").status_code == 202
    until(lambda: subscriber.ids["e30"] == 2)


def test_a_replay_of_nothing_is_refused(broker: BrokerProcess) -> None:
    broker.start()
    assert replay(broker, "").status_code == 400
    assert replay(broker, "?trigger=seldon-logs/none").status_code == 404
