import gzip
import json
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from closedloop.platforms.embedded.parts import programs
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

STRUCTURED = "application/cloudevents+json"


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in event(1).items() if key != name}


def test_every_request_has_the_status_of_knatives_ingress(own: OwnBroker) -> None:
    own.start()
    post = f"/{own.name}"
    table = [
        ("POST", post, event(1), 202),
        ("POST", post, event(1, time="2026-01-31T12:00:00.123456789+01:00"), 202),
        ("POST", post, event(1, knativebrokerttl="2"), 202),
        ("POST", post, event(1, knativebrokerttl="many"), 202),
        ("POST", post, event(1, knativebrokerttl="1"), 400),
        ("POST", post, event(1, knativebrokerttl="-5"), 400),
        ("POST", post, {}, 400),
        *(("POST", post, without(name), 400) for name in event(1) if name.startswith("ce-")),
        ("POST", post, event(1, specversion="0.3"), 400),
        ("POST", post, event(1, id=""), 400),
        ("POST", post, event(1, time="yesterday"), 400),
        ("POST", post, event(1, time="2026-13-31T12:00:00Z"), 400),
        ("POST", post, event(1, time="2026-01-31t12:00:00z"), 400),
        ("POST", post, event(1, time="2026-01-31 12:00:00Z"), 400),
        ("POST", post, event(1, **{"my-name": "x"}), 400),
        ("POST", post, event(1, my_name="x"), 400),
        ("POST", post, {"content-type": "application/cloudevents-batch+json"}, 400),
        ("POST", post, {"content-type": STRUCTURED}, 400),
        ("POST", "/", event(1), 404),
        ("POST", "/seldon-logs/other", event(1), 404),
        ("POST", "/other/default", event(1), 404),
        ("POST", "//", event(1), 400),
        ("POST", post + "?x=1", event(1), 404),
        ("POST", "/seldon-logs/other", {}, 400),
        ("POST", "/seldon-logs", event(1), 400),
        ("POST", post + "/more", event(1), 400),
        ("POST", post + "/", event(1), 202),
        ("POST", post + "//", event(1), 400),
        ("GET", post, {}, 405),
        ("GET", "/", {}, 405),
        ("PUT", post, event(1), 405),
        ("DELETE", "/anything", {}, 405),
        ("OPTIONS", post, {}, 200),
        ("OPTIONS", "/", {}, 200),
    ]
    answers = [
        requests.request(method, own.url + path, headers=headers, data=b"{}", timeout=60)
        for method, path, headers, _ in table
    ]
    got = [(*row[:3], answer.status_code) for row, answer in zip(table, answers, strict=True)]
    assert got == table
    assert {answer.headers["Allow"] for answer in answers} == {"POST, OPTIONS"}
    assert answers[-1].headers["WebHook-Allowed-Rate"] == "*"
    assert all(answer.text for answer in answers if answer.status_code >= 400)
    assert all(not answer.content for answer in answers if answer.status_code == 202)


def test_bad_bodies_are_refused_and_good_ones_still_taken(own: OwnBroker) -> None:
    own.start()
    structured = {"content-type": STRUCTURED}
    good = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    table: list[tuple[dict[str, str], bytes, int]] = [
        (structured, b"{", 400),
        (structured, b"[]", 400),
        (structured, b"\xff\xfe", 400),
        (structured, b"[" * 100_000, 400),
        (structured, json.dumps(good | {"n": 1.5}).encode(), 400),
        (structured, json.dumps(good | {"n": {"a": 1}}).encode(), 400),
        (structured, json.dumps(good | {"type": "a\r\nce-id: b"}).encode(), 400),
        (structured, json.dumps(good | {"type": "\ud800"}).encode(), 400),
        (structured, json.dumps(good | {"data_base64": "?"}).encode(), 400),
        (structured, json.dumps(good | {"data_base64": 5}).encode(), 400),
        (event(1), b"x" * (2 << 20), 413),
        (event(1) | {"content-encoding": "gzip"}, b"no gzip", 400),
        (event(1) | {"content-encoding": "gzip"}, gzip.compress(b"{}"), 202),
        (event(2), b"\x00\xff not JSON", 202),
        (event(3), b"", 202),
        (structured, json.dumps(good | {"data": {"a": 1}}).encode(), 202),
    ]
    for headers, body, status in table:
        answer = requests.post(own.ingress, headers=headers, data=body, timeout=60)
        assert (answer.status_code, body[:60]) == (status, body[:60])
    assert own.status()["brokers"][own.name]["accepted"] == 4


def test_a_header_that_is_not_utf8_is_refused(own: OwnBroker) -> None:
    own.start()
    headers = {name: value.encode() for name, value in event(1).items()} | {"ce-x": b"\xff"}
    assert requests.post(own.ingress, headers=headers, timeout=60).status_code == 400


def test_an_event_arrives_as_it_was_sent(own: OwnBroker, subscriber: Subscriber) -> None:
    own.configure(trigger("all", subscriber.url))
    own.start()
    extra = {"knative-x": "1", "x-request-id": "r", "x-b3-traceid": "b", "Seldon-Puid": "p"}
    notes = {"note": "größer", "quoted": 'a "b" \\ c', "escaped": "order%2042%C3%A9%"}
    sent = event(1, requestid="abc", time="2026-01-31T12:00:00Z", **notes) | extra
    headers = {name: value.encode() for name, value in sent.items()}
    requests.post(own.ingress, headers=headers, data=b"\x00\xff", timeout=60)
    until(lambda: len(subscriber.events) == 1)
    got, body = subscriber.events[0]
    assert body == b"\x00\xff"
    assert got.pop("ce-knativearrivaltime").endswith("Z")
    assert got["prefer"] == "reply"
    assert got["kn-namespace"] == "seldon-logs"
    assert {name: got[name] for name in got if name.startswith("ce-")} == {
        name: value for name, value in sent.items() if name.startswith("ce-")
    }
    assert (got["content-type"], got["knative-x"], got["x-request-id"], got["x-b3-traceid"]) == (
        "application/json",
        "1",
        "r",
        "b",
    )
    assert "seldon-puid" not in got


def test_structured_mode_is_delivered_in_binary_mode(
    own: OwnBroker, subscriber: Subscriber
) -> None:
    own.configure(trigger("all", subscriber.url))
    own.start()
    document = {"specversion": "1.0", "id": "s", "source": "s", "type": "t", "count": 3}
    document |= {"time": "2026-01-31T13:00:00.50+01:00", "note": 'größer "%20"'}
    headers = {"content-type": STRUCTURED}
    body = json.dumps(document | {"data": {"a": [1]}}).encode()
    requests.post(own.ingress, headers=headers, data=body, timeout=60)
    until(lambda: len(subscriber.events) == 1)
    got, body = subscriber.events[0]
    assert (got["ce-id"], got["ce-count"], got["content-type"]) == ("s", "3", "application/json")
    assert (got["ce-time"], got["ce-note"]) == ("2026-01-31T12:00:00.5Z", 'größer "%20"')
    assert json.loads(body) == {"a": [1]}


def test_every_event_is_delivered_whatever_its_id(own: OwnBroker, subscriber: Subscriber) -> None:
    own.configure(trigger("all", subscriber.url))
    own.start()
    sent = [
        (event(1), b"{}"),
        (event(1), b"{}"),  # a sender that heard no answer sends it again
        (event(1), b"[]"),
        (event(1, type="io.seldon.serving.inference.request"), b"{}"),
        (event(1, source="http://elsewhere"), b"{}"),
    ]
    for headers, body in sent:
        answer = requests.post(own.ingress, headers=headers, data=body, timeout=60)
        assert answer.status_code == 202
    until(lambda: len(subscriber.events) >= len(sent))
    assert sorted(body for _, body in subscriber.events) == [b"[]", *[b"{}"] * 4]
    assert own.status()["brokers"][own.name] == {"accepted": len(sent)}


def test_large_events_pass_and_larger_ones_are_refused_and_counted(
    broker: BrokerProcess, nats: Nats, subscriber: Subscriber
) -> None:
    nats.kill()
    nats.limits = limits()
    nats.start()
    broker.configure(trigger("all", subscriber.url))
    broker.max_bytes = 200 << 20
    broker.start()
    # More at once than is asked for of NATS at once.
    bodies = [bytes([number]) * (16 << 20) for number in range(5)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = pool.map(
            lambda body: requests.post(broker.ingress, headers=event(1), data=body, timeout=60),
            bodies,
        )
        assert [answer.status_code for answer in answers] == [202] * len(bodies)
    until(lambda: len(subscriber.events) >= len(bodies))
    assert sorted(body for _, body in subscriber.events) == bodies
    answer = requests.post(broker.ingress, headers=event(2), data=b"x" * (18 << 20), timeout=60)
    assert (answer.status_code, "send a smaller body" in answer.text) == (413, True)
    assert broker.status()["refused"]["too_large"] == 1
    assert answer.text in broker.log()


def limits() -> str:
    """The lines by which the platform's NATS bounds what it takes."""
    with tempfile.TemporaryDirectory() as folder:
        programs.nats("127.0.0.1", Path(folder))
        lines = (Path(folder) / "nats.conf").read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith("max_"))


def test_without_nats_a_sender_is_held_and_then_refused(broker: BrokerProcess, nats: Nats) -> None:
    broker.hold = 3
    broker.start()
    nats.kill()
    answer = requests.post(broker.ingress, headers=event(1), timeout=60)
    assert answer.status_code == 503
    assert answer.elapsed.total_seconds() > 2.5
    assert requests.get(f"{broker.url}/ready", timeout=60).status_code == 503
    assert requests.get(f"{broker.url}/live", timeout=60).ok


def test_a_sender_is_held_over_a_restart_of_nats(broker: BrokerProcess, nats: Nats) -> None:
    broker.start()
    nats.kill()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.post, broker.ingress, headers=event(1), timeout=60)
        nats.start()
        assert answer.result().status_code == 202
    assert "Traceback" not in broker.log()


def test_a_broker_started_before_nats_is_not_ready_until_it_comes(
    broker: BrokerProcess, nats: Nats
) -> None:
    nats.kill()
    nats.process = None
    super(BrokerProcess, broker).start()
    try:
        answer = None
        while answer is None:
            try:
                answer = requests.get(f"{broker.url}/ready", timeout=60)
            except requests.ConnectionError:
                continue
        assert (answer.status_code, nats.url in answer.text) == (503, True)
    finally:
        nats.start()
    answer = requests.post(broker.ingress, headers=event(1), timeout=60)
    assert answer.status_code == 202


def test_a_nats_without_room_for_the_stream_is_named(broker: BrokerProcess) -> None:
    broker.max_bytes = 1 << 40
    super(BrokerProcess, broker).start()
    until(lambda: "JetStream does not serve yet" in broker.log())
    answer = requests.get(f"{broker.url}/ready", timeout=60)
    assert (answer.status_code, "insufficient storage" in answer.text) == (503, True)


@pytest.mark.parametrize("nats_is_there", [True, False])
def test_sigterm_ends_it_quietly(broker: BrokerProcess, nats: Nats, nats_is_there: bool) -> None:
    broker.start()
    if not nats_is_there:
        nats.kill()
        until(lambda: "lost NATS" in broker.log())
    assert broker.stop(signal.SIGTERM) == 0
    assert "Traceback" not in broker.log()
    assert ("lost NATS" in broker.log()) is not nats_is_there
