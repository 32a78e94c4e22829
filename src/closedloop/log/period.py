"""A past period: which requests, and which feedback about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from closedloop.loop import rfc3339

Moment = datetime | str
Filter = Mapping[str, object]

# When a request was made; where requests are not logged, when it was answered.
REQUEST_TIME = "@timestamp"
FEEDBACK_TIME = "feedback.ce-time"


@dataclass(frozen=True, slots=True)
class Period:
    """Requests from `since` until just before `until`, with feedback of a period of its own.

    Times are datetimes or RFC 3339 text, UTC where they have no offset; None
    is no bound. A bound on feedback leaves out the rows that have none, and it
    is the latest feedback about a row that counts: earlier versions are history.

    Raises ValueError for a time that cannot be read or a period that ends
    before it begins.
    """

    since: Moment | None = None
    until: Moment | None = None
    feedback_since: Moment | None = None
    feedback_until: Moment | None = None

    def __post_init__(self) -> None:
        for since, until in (
            (self.since, self.until),
            (self.feedback_since, self.feedback_until),
        ):
            bounds = [
                rfc3339.nanoseconds(_text(bound)) for bound in (since, until) if bound is not None
            ]
            if bounds != sorted(bounds):
                raise ValueError(
                    f"the period from {since} until {until} ends before it begins: swap the two"
                )

    def filters(self) -> list[Filter]:
        """The filters of an Elasticsearch query."""
        ranges = (
            (REQUEST_TIME, self.since, self.until),
            (FEEDBACK_TIME, self.feedback_since, self.feedback_until),
        )
        return [
            {"range": {field: bounds}}
            for field, since, until in ranges
            if (
                bounds := {
                    operator: _text(bound)
                    for operator, bound in (("gte", since), ("lt", until))
                    if bound is not None
                }
            )
        ]


ALWAYS = Period()


def _text(moment: Moment) -> str:
    return moment if isinstance(moment, str) else rfc3339.written(moment)
