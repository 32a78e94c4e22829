"""RFC 3339 times, section 5.6, with its variations: lower case, and a blank between."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:[0-5]\d)?", re.ASCII
)
# As Elasticsearch and everyone else reads it: UTC, with at most nine digits of a second's fraction.
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{1,9})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)  # an event's time is read when it comes, and again with each of its rows
def nanoseconds(text: str) -> int:
    """The time as nanoseconds since the epoch; digits beyond the ninth are cut.

    A time without an offset is UTC. Raises ValueError, also for a time before 1970.
    """
    # The common form, without a look at its parts: `2026-01-31T12:00:05.123456789Z`.
    fraction = text[20:-1]
    if (
        text[19:20] == "." and text[-1:] == "Z" and text[17:19] < "60"
        and text.isascii() and fraction.isdigit() and text[17:19].isdigit()
    ):  # fmt: skip
        return (_minute(text[:17]) + int(text[17:19])) * 1_000_000_000 + int(
            fraction[:9].ljust(9, "0")
        )
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise _bad(text)
    date, minutes, second, fraction, offset = parts.groups("")
    leap = second == "60"  # datetime knows no leap second: it is the next one
    try:
        moment = datetime.fromisoformat(
            f"{date}T{minutes}{'59' if leap else second}{(offset or 'Z').upper()}"
        )
        seconds = (moment - _EPOCH) // timedelta(seconds=1) + leap
    except (ValueError, OverflowError):
        raise _bad(text) from None
    if seconds < 0:
        raise ValueError(f"the time is {text!r}: give one after 1970")
    return seconds * 1_000_000_000 + int((fraction or "")[:9].ljust(9, "0"))


@lru_cache(maxsize=256)  # events come minute by minute
def _minute(text: str) -> int:
    """Seconds since the epoch until a minute such as `2026-01-31T12:00:`."""
    return nanoseconds(f"{text}00Z") // 1_000_000_000


def canonical(text: str) -> str:
    """The same time in the one form that every store reads: UTC, at most nine digits of fraction.

    Raises ValueError as `nanoseconds` does.
    """
    if _CANONICAL.fullmatch(text):
        nanoseconds(text)
        return text
    seconds, fraction = divmod(nanoseconds(text), 1_000_000_000)
    try:
        whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError):
        raise _bad(text) from None
    digits = f"{fraction:09d}".rstrip("0")
    return f"{whole}{digits and '.' + digits}Z"


def written(moment: datetime | float, timespec: str = "auto") -> str:
    """A moment as text in UTC; a datetime without an offset is UTC, a number seconds of the epoch.

    `timespec` is that of `datetime.isoformat`.
    """
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return utc.isoformat(timespec=timespec).replace("+00:00", "Z")


def now(timespec: str = "milliseconds") -> str:
    """The present moment; `timespec` is that of `datetime.isoformat`."""
    return written(datetime.now(UTC), timespec)


def _bad(text: str) -> ValueError:
    return ValueError(f"the time is {text[:200]!r}: give RFC 3339, such as 2026-01-31T12:00:00Z")
