from contextlib import suppress
from dataclasses import replace
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
    nanoseconds,
    rfc3339,
    stamp,
)

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
    event = replace(
        from_http(HEADERS, b"{}"), request_id=request_id, id=event_id, predictor=endpoint
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


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.5", 500_000_000),
        ("1970-01-01T01:00:00.25+01:00", 250_000_000),
        ("1970-01-01t00:00:01z", 1_000_000_000),
        ("1970-01-01 00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01T00:00:00." + "9" * 5000 + "Z", 999_999_999),
        ("1970-01-01T19:00:00+19:00", 0),
        ("1970-01-01T23:59:00+23:59", 0),
        ("1969-12-31T20:00:00-04:00", 0),
        ("1972-06-30T23:59:60Z", 78_796_800_000_000_000),
        ("1972-07-01T00:00:00Z", 78_796_800_000_000_000),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999_999_999),
    ],
)
def test_time_in_nanoseconds(time: str, expected: int) -> None:
    assert nanoseconds(time) == expected


@pytest.mark.parametrize(
    "time",
    [
        "",
        "2026-01-31",
        "2026-01-31_12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00,5Z",
        "2026.5-01-31T12:00:00Z",
        "2026-01-31T12:00:00+00:00.5",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+1:00",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60",
        "2026-01-31T12:00:61Z",
        "2026-01-31T24:00:01Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        " 2026-01-31T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00",
        "10000-01-01T00:00:00Z",
        "٢٠٢٦-01-31T12:00:00Z",
        "1769860800",
        "Sat, 31 Jan 2026 12:00:00 GMT",
    ],
)
def test_refuses_what_is_no_time(time: str) -> None:
    for read in (nanoseconds, rfc3339):
        with pytest.raises(InvalidEvent, match=r"RFC 3339|after 1970") as refused:
            read(time)
        assert refused.value.reason == "bad_time"
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("time", "written"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.120Z", "2026-01-31T12:00:00.120Z"),
        ("2026-01-31t12:00:00.5z", "2026-01-31T12:00:00.5Z"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.1234567899Z", "2026-01-31T12:00:00.123456789Z"),
        ("2026-01-31T12:00:00+19:00", "2026-01-30T17:00:00Z"),
        ("2026-01-31T12:00:00.000-00:30", "2026-01-31T12:30:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.25Z"),
    ],
)
def test_writes_times_as_every_store_reads_them(time: str, written: str) -> None:
    assert rfc3339(time) == written
    assert nanoseconds(written) == nanoseconds(time)


@pytest.mark.parametrize("time", ["9999-12-31T23:59:60Z", "9999-12-31T23:59:59-01:00"])
def test_refuses_a_time_past_the_last_year(time: str) -> None:
    with pytest.raises(InvalidEvent, match="RFC 3339"):
        rfc3339(time)


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


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


@given(st.text())
def test_any_text_is_a_time_or_refused(time: str) -> None:
    with suppress(InvalidEvent):
        assert nanoseconds(time) >= 0
        assert nanoseconds(rfc3339(time)) == nanoseconds(time)


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
