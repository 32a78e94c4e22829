from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.rfc3339 import canonical, nanoseconds, now, written


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
    for read in (nanoseconds, canonical):
        with pytest.raises(ValueError, match=r"RFC 3339|after 1970") as refused:
            read(time)
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("time", "same"),
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
def test_writes_times_as_every_store_reads_them(time: str, same: str) -> None:
    assert canonical(time) == same
    assert nanoseconds(same) == nanoseconds(time)


@pytest.mark.parametrize("time", ["9999-12-31T23:59:60Z", "9999-12-31T23:59:59-01:00"])
def test_refuses_a_time_past_the_last_year(time: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        canonical(time)


@given(st.text())
def test_any_text_is_a_time_or_refused(time: str) -> None:
    with suppress(ValueError):
        assert nanoseconds(time) >= 0
        assert nanoseconds(canonical(time)) == nanoseconds(time)


def test_a_moment_is_written_in_utc_whatever_its_zone() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert written(noon) == "2026-01-31T12:00:00Z"
    assert written(noon.astimezone(timezone(timedelta(hours=5)))) == "2026-01-31T12:00:00Z"
    assert written(noon.replace(tzinfo=None)) == "2026-01-31T12:00:00Z"
    assert written(noon.timestamp() + 0.25) == "2026-01-31T12:00:00.250000Z"
    assert written(noon, "milliseconds") == "2026-01-31T12:00:00.000Z"


def test_now_lies_between_the_moments_before_and_after() -> None:
    before = written(datetime.now(UTC))
    assert nanoseconds(before) <= nanoseconds(now("microseconds")) <= nanoseconds(now("auto"))
    assert len(now()) == len("2026-01-31T12:00:00.000Z")
