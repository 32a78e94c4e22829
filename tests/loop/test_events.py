from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.events import (
    FEEDBACK,
    RESPONSE,
    InvalidEvent,
    from_http,
    stamp,
)
from closedloop.loop.rfc3339 import written

HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "8b6c",
    "ce-source": "http://:8000/",
    "ce-type": RESPONSE,
    "ce-time": "2026-01-31T12:00:00.123456789Z",
    "ce-requestid": "puid-1",
    "ce-namespace": "seldon",
    "ce-inferenceservicename": "sklearn",
    "ce-endpoint": "default",
    "ce-modelid": "classifier",
    "content-type": "application/json",
}


def headers(**changed: str | None) -> dict[str, str]:
    """The headers of a good event, changed; None takes one away."""
    new = HEADERS | {f"ce-{name}": value for name, value in changed.items()}
    return {name: value for name, value in new.items() if value is not None}


def test_reads_what_the_executor_sends() -> None:
    event = from_http(HEADERS, b"{}")
    assert (event.namespace, event.deployment, event.predictor) == ("seldon", "sklearn", "default")
    assert (event.request_id, event.model, event.type) == ("puid-1", "classifier", RESPONSE)
    assert event.body == b"{}"


def test_writes_the_headers_it_reads() -> None:
    event = from_http(HEADERS, b"{}")
    assert event.headers() == HEADERS | {"ce-protocol": "seldon"}
    assert from_http(event.headers(), b"{}") == event


IDS = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1).filter(
    lambda text: len(text.encode()) <= 480 and text.isprintable()
)


@given(IDS, IDS, IDS)
def test_any_id_survives_its_header(request_id: str, event_id: str, endpoint: str) -> None:
    event = from_http(HEADERS, b"{}")._replace(
        request_id=request_id, id=event_id, predictor=endpoint
    )
    sent = event.headers()
    assert all(value.isascii() and value.isprintable() for value in sent.values())
    assert all(value == value.strip() for value in sent.values())
    assert from_http(sent, b"{}") == event


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("order%2042%C3%A9", "order 42é"),
        ("order 42é", "order 42é"),
        ("100%", "100%"),
        ("100%25", "100%"),
        ("%ZZ", "%ZZ"),
        ("%ff", "%ff"),
        ("%F0%9F%98%80", "\U0001f600"),
    ],
)
def test_encoded_and_plain_ids_are_one(sent: str, read: str) -> None:
    assert from_http(headers(requestid=sent), b"").request_id == read


def test_says_unknown_for_an_origin_that_is_not_given() -> None:
    event = from_http(headers(namespace=None, inferenceservicename=None, endpoint=None), b"")
    assert event.namespace == "unknown-namespace"
    assert event.deployment == "unknown-inferenceservice"
    assert event.predictor == "unknown-endpoint"


def test_takes_the_brokers_time_only_without_the_senders() -> None:
    arrival = {"ce-knativearrivaltime": "2026-01-31T12:00:01Z"}
    assert from_http(HEADERS | arrival, b"").time == HEADERS["ce-time"]
    assert from_http(headers(time=None) | arrival, b"").time == "2026-01-31T12:00:01Z"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": None}, "missing_header"),
        ({"source": ""}, "missing_header"),
        ({"type": None}, "missing_header"),
        ({"specversion": None}, "missing_header"),
        ({"requestid": ""}, "missing_header"),
        ({"specversion": "0.3"}, "bad_header"),
        ({"requestid": "x" * 481}, "bad_header"),
        ({"requestid": "bytes \udcff"}, "bad_header"),
        ({"requestid": "é" * 241}, "bad_header"),
        ({"requestid": "%00"}, "bad_header"),
        ({"id": "a\nb"}, "bad_header"),
        ({"endpoint": "a\tb"}, "bad_header"),
        ({"type": "io.seldon.other"}, "unknown_type"),
        ({"time": None}, "bad_time"),
        ({"time": "yesterday"}, "bad_time"),
        ({"time": "1969-12-31T23:59:59Z"}, "bad_time"),
    ],
)
def test_refuses_with_a_reason(changed: dict[str, str | None], reason: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        from_http(headers(**changed), b"")
    assert refused.value.reason == reason
    str(refused.value).encode()  # a sentence that can be sent


NOW = datetime.now(UTC).replace(microsecond=0)
ARRIVED = written(NOW - timedelta(days=1))


@pytest.mark.parametrize(
    ("sent", "arrived", "time"),
    [
        # A clock that is ahead of the broker's by more than a little.
        ("2099-01-01T00:00:00Z", ARRIVED, ARRIVED),
        (written(NOW - timedelta(days=1) + timedelta(seconds=301)), ARRIVED, ARRIVED),
        (written(NOW - timedelta(days=1) + timedelta(seconds=300)), ARRIVED, None),
        (written(NOW - timedelta(days=9)), ARRIVED, None),
        ("2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        # Of ours, where no broker says, or one that is ahead itself.
        (written(NOW), None, None),
        (written(NOW), "2099-01-01T00:00:00Z", None),
        (None, written(NOW), written(NOW)),
    ],
    ids=range(8),  # two workers collect at two moments
)
def test_a_clock_ahead_is_not_believed(sent: str | None, arrived: str | None, time: str) -> None:
    known = headers(time=sent, knativearrivaltime=arrived)
    assert from_http(known, b"").time == (time or sent)


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        ("2099-01-01T00:00:00Z", None),
        ("2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
        (None, "2099-01-01T00:00:00Z"),
        (written(NOW + timedelta(days=1)), None),
        (written(NOW), "yesterday"),
        ("yesterday", written(NOW)),
    ],
    ids=range(6),
)
def test_refuses_a_time_that_nobody_vouches_for(sent: str | None, arrived: str | None) -> None:
    with pytest.raises(InvalidEvent) as refused:
        from_http(headers(time=sent, knativearrivaltime=arrived), b"")
    assert refused.value.reason == "bad_time"


def test_an_event_handed_on_keeps_its_time() -> None:
    event = from_http(headers(time="2026-01-31 12:00:00.50+02:00"), b"")
    assert from_http(event.headers(), b"").time == event.time


def test_takes_a_time_whose_colons_are_encoded() -> None:
    assert from_http(headers(time="2026-01-31T12%3A00%3A00Z"), b"").time == "2026-01-31T12:00:00Z"


MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


@given(MOMENTS, MOMENTS, st.text(max_size=3), st.text(max_size=3))
def test_stamps_sort_by_time_then_id(a: datetime, b: datetime, one: str, other: str) -> None:
    stamps = stamp(a.isoformat(), one), stamp(b.isoformat(), other)
    assert (stamps[0] < stamps[1]) == ((a, one) < (b, other))


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_the_same_moment_has_one_stamp_in_every_zone(moment: datetime, minutes: int) -> None:
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
    try:
        there = (moment + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat() + offset
    except OverflowError:
        return
    assert stamp(there, "id") == stamp(moment.isoformat(), "id")


def test_events_of_one_request_are_ordered_by_time_then_id() -> None:
    def event(**changed: Any) -> str:
        return from_http(headers(type=FEEDBACK, **changed), b"").stamp

    assert event(time="2026-01-31T12:00:00Z") < event(time="2026-01-31T12:00:00.000000001Z")
    assert event(id="a") < event(id="b")
