import base64
import socket
from collections.abc import Callable

import pytest
import requests
from aiohttp import web

from closedloop.platforms.embedded.broker.store import ACK_WAIT
from closedloop.platforms.embedded.desired import Delivery
from tests.platforms.embedded.broker.parts import (
    BrokerProcess,
    Nats,
    OwnBroker,
    Subscriber,
    event,
    trigger,
    until,
)

pytestmark = pytest.mark.embedded

REPLY = {"ce-specversion": "1.0", "ce-source": "subscriber", "ce-type": "reply"}


def send(broker: BrokerProcess, *events: dict[str, str], body: bytes = b"{}") -> None:
    for headers in events:
        answer = requests.post(broker.ingress, headers=headers, data=body, timeout=60)
        assert answer.status_code == 202, answer.text


def first_answers(*statuses: int) -> Callable[[dict[str, str]], web.Response]:
    left = list(statuses)
    return lambda _: web.Response(status=left.pop(0) if left else 200)


def counts(broker: BrokerProcess, name: str = "seldon-logs/all") -> dict[str, int]:
    status = broker.status()["triggers"][name]
    return {key: status[key] for key in ("delivered", "retried", "dead_lettered", "dropped")}


def test_each_trigger_gets_what_its_filter_passes(
    broker: BrokerProcess, subscriber: Subscriber, other: Subscriber
) -> None:
    wanted = {"type": "io.seldon.serving.feedback", "endpoint": "default"}
    broker.configure(trigger("all", subscriber.url), trigger("some", other.url, filters=wanted))
    broker.start()
    send(
        broker,
        event(1),
        event(2, endpoint="Default"),
        event(3, endpoint="default"),
        event(4, type="else", endpoint="default"),
        event(5, endpoint="default"),
    )
    until(lambda: len(subscriber.events) == 5 and {"e3", "e5"} <= set(other.ids))
    broker.stop()  # after which nothing is on its way
    assert set(other.ids) == {"e3", "e5"}


def test_some_statuses_are_tried_again(own: OwnBroker, subscriber: Subscriber) -> None:
    statuses = (404, 408, 409, 429, 500, 503, 599)
    subscriber.answer = lambda got: web.Response(
        status=int(got["ce-status"]) if subscriber.ids[got["ce-id"]] < 3 else 204
    )
    own.configure(trigger("all", subscriber.url))
    own.start()
    send(own, *(event(status, status=str(status)) for status in statuses))
    until(lambda: counts(own)["delivered"] == len(statuses))
    assert subscriber.ids == {f"e{status}": 3 for status in statuses}
    assert counts(own)["retried"] == 2 * len(statuses)


def test_other_statuses_are_final(own: OwnBroker, subscriber: Subscriber) -> None:
    statuses = (301, 304, 307, 400, 401, 413, 422)
    subscriber.answer = lambda got: web.Response(
        status=int(got["ce-status"]), headers={"Location": "/"}
    )
    own.configure(trigger("all", subscriber.url))
    own.start()
    send(own, *(event(status, status=str(status)) for status in statuses))
    until(lambda: counts(own)["dropped"] == len(statuses))
    assert subscriber.ids == {f"e{status}": 1 for status in statuses}
    assert own.log().count("dropped an event") == len(statuses)


def test_a_slow_subscriber_gets_its_event_once(own: OwnBroker, subscriber: Subscriber) -> None:
    subscriber.delay = ACK_WAIT + 1
    own.configure(trigger("all", subscriber.url))
    own.start()
    send(own, event(1))
    until(lambda: counts(own)["delivered"] == 1)
    assert subscriber.ids == {"e1": 1}


def test_a_body_that_is_no_event_counts_as_502(
    own: OwnBroker, subscriber: Subscriber, other: Subscriber
) -> None:
    subscriber.answer = lambda _: web.Response(text="thanks")
    delivery = Delivery(retry=1, delay=0, dead_letter=other.url)
    own.configure(trigger("all", subscriber.url, delivery=delivery))
    own.start()
    send(own, event(1), body=b"payload")
    until(lambda: counts(own)["dead_lettered"] == 1)
    assert subscriber.ids == {"e1": 2}
    got, body = other.events[0]
    assert body == b"payload"
    assert got["ce-knativeerrordest"] == subscriber.url
    assert got["ce-knativeerrorcode"] == "502"
    assert base64.b64decode(got["ce-knativeerrordata"]) == b"thanks"


def test_a_dead_letter_is_tried_again_too(
    own: OwnBroker, subscriber: Subscriber, other: Subscriber
) -> None:
    subscriber.answer = lambda _: web.Response(status=400, text="x" * 5000)
    other.answer = first_answers(503, 503)
    delivery = Delivery(retry=2, policy="linear", delay=0.05, dead_letter=other.url)
    own.configure(trigger("all", subscriber.url, delivery=delivery))
    own.start()
    send(own, event(1))
    until(lambda: counts(own)["dead_lettered"] == 1)
    assert (subscriber.ids, other.ids) == ({"e1": 1}, {"e1": 3})
    assert {len(headers["ce-knativeerrordata"]) for headers, _ in other.events} == {1024}


def test_nobody_there_ends_at_the_dead_letter_sink(own: OwnBroker, other: Subscriber) -> None:
    delivery = Delivery(retry=1, delay=0, dead_letter=other.url)
    own.configure(trigger("all", "http://127.0.0.1:1/", delivery=delivery))
    own.start()
    send(own, event(1))
    until(lambda: len(other.events) == 1)
    got, _ = other.events[0]
    assert got["ce-knativeerrorcode"] == "500"
    assert base64.b64decode(got["ce-knativeerrordata"]).startswith(b"dispatch error")


def test_a_reply_that_is_an_event_enters_the_broker(
    own: OwnBroker, subscriber: Subscriber, other: Subscriber
) -> None:
    subscriber.answer = lambda got: web.Response(
        body=b"answer", headers=REPLY | {"ce-id": f"reply to {got['ce-id']}"}
    )
    own.configure(
        trigger("first", subscriber.url, filters={"source": "http://tests"}),
        trigger("second", other.url, filters={"type": "reply"}),
    )
    own.start()
    send(own, event(1))
    until(lambda: len(other.events) == 1)
    got, body = other.events[0]
    assert (got["ce-id"], body) == ("reply to e1", b"answer")
    assert "ce-knativebrokerttl" not in got


def test_replies_to_replies_end_when_their_hops_are_spent(
    own: OwnBroker, subscriber: Subscriber
) -> None:
    subscriber.answer = lambda got: web.Response(headers=REPLY | {"ce-id": got["ce-id"] + "+"})
    own.configure(trigger("all", subscriber.url))
    own.start()
    send(own, event(1, knativebrokerttl="4"))
    until(lambda: "dropped a reply" in own.log())
    assert subscriber.ids == {"e1": 1, "e1+": 1, "e1++": 1}


def test_a_try_ends_at_its_timeout(own: OwnBroker, other: Subscriber) -> None:
    # The dead letter has no longer than the try.
    delivery = Delivery(retry=0, timeout=3, dead_letter=other.url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "http://{}:{}/".format(*silent.getsockname())
        own.configure(trigger("all", url, delivery=delivery))
        own.start()
        send(own, event(1))
        until(lambda: len(other.events) == 1)
    assert b"3 s" in base64.b64decode(other.events[0][0]["ce-knativeerrordata"])


def test_one_failing_event_does_not_hold_up_the_others(
    own: OwnBroker, subscriber: Subscriber
) -> None:
    delivery = Delivery(retry=9, policy="linear", delay=60)
    subscriber.answer = lambda got: web.Response(status=503 if got["ce-id"] == "e0" else 200)
    own.configure(trigger("all", subscriber.url, delivery=delivery))
    own.start()
    send(own, *(event(number) for number in range(50)))
    until(lambda: counts(own)["delivered"] == 49)
    until(lambda: own.status()["triggers"]["seldon-logs/all"]["pending"] == 1)
    until(lambda: subscriber.ids["e0"] == 2)  # the first retry of a linear backoff comes at once


def test_a_backoff_is_kept_over_a_restart_of_nats(
    broker: BrokerProcess, nats: Nats, subscriber: Subscriber
) -> None:
    subscriber.answer = first_answers(503, 503)
    delivery = Delivery(retry=5, delay=1)
    broker.configure(trigger("all", subscriber.url, delivery=delivery))
    broker.start()
    send(broker, event(1))
    until(lambda: counts(broker)["retried"] == 2)
    nats.kill()
    nats.start()
    until(lambda: counts(broker)["delivered"] == 1)
    assert counts(broker)["retried"] == 2
