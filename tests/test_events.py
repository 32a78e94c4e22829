from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.events import FEEDBACK, RESPONSE, InvalidEvent, from_http, nanoseconds, stamp

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
    ],
)
def test_time_in_nanoseconds(time: str, expected: int) -> None:
    assert nanoseconds(time) == expected


@pytest.mark.parametrize(
    "time",
    [
        "",
        "2026-01-31",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00,5Z",
        "2026.5-01-31T12:00:00Z",
        "2026-01-31T12:00:00+00:00.5",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "٢٠٢٦-01-31T12:00:00Z",
    ],
)
def test_refuses_times_that_elasticsearch_could_not_read(time: str) -> None:
    with pytest.raises(InvalidEvent, match="RFC 3339"):
        nanoseconds(time)


@given(st.text())
def test_any_text_is_a_time_or_refused(time: str) -> None:
    with suppress(InvalidEvent):
        assert nanoseconds(time) >= 0


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
