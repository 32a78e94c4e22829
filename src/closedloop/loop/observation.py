"""The reading of an event: accepted, or refused and why, its request and its content.

The one decision that request logger, metrics server and backfill share, so that the same bytes
have the same effect in the log and in the counts.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from closedloop.loop import events
from closedloop.loop.body import Loads, parse_body
from closedloop.loop.events import Event, InvalidEvent
from closedloop.loop.keys import LONGEST_NAMES
from closedloop.loop.payload import Feedback, Rows, feedback_of, judged_request, rows_of

REASONS = (
    "missing_header", "bad_header", "bad_time", "unknown_type", "bad_json", "bad_payload",
    "bad_feedback", "bad_encoding", "too_large", "too_many_predictors",
)  # fmt: skip
"""Why an event is refused."""

MOST_BYTES = 16 << 20
"""How large a body may be, unless a setting says otherwise."""


class Observation(NamedTuple):
    """An accepted event with its body `message`, decoded.

    `rows` are those of a request or an answer, at least one; feedback has `feedback` instead.
    """

    event: Event
    message: Mapping[str, object]
    rows: Rows | None = None
    feedback: Feedback | None = None

    @property
    def entries(self) -> int:
        """The number of rows that it speaks of."""
        if self.rows is not None:
            return len(self.rows.rows)
        truth = self.feedback.truth if self.feedback is not None else None
        return 1 if truth is None else len(truth.rows)


def read_event(headers: Mapping[str, str], body: bytes, loads: Loads | None = None) -> Observation:
    """Read one CloudEvent in HTTP binary mode; `loads` is `parse_body`'s.

    Raises `InvalidEvent` with one of `REASONS`.
    """
    return observe(events.from_http(headers, body), loads)


def observe(event: Event, loads: Loads | None = None) -> Observation:
    """Read the body of an event; `loads` is `parse_body`'s.

    Raises `InvalidEvent` with one of `REASONS`."""
    names = (event.namespace, event.deployment, event.predictor)
    if (length := _index_bytes(names)) > LONGEST_NAMES:
        raise InvalidEvent(
            "bad_header",
            f"ce-namespace, ce-inferenceservicename and ce-endpoint have {length} bytes together:"
            f" send at most {LONGEST_NAMES}",
        )
    try:
        message = parse_body(event.body, event.content_type, loads)
        if event.type == events.FEEDBACK:
            about = judged_request(event.request_id, message)
            if about != event.request_id:
                event = event._replace(request_id=about)
            return Observation(event, message, feedback=feedback_of(message))
        rows = rows_of(message)
    except RecursionError:
        raise InvalidEvent("bad_payload", "the body is nested too deeply: flatten it") from None
    if not rows.rows:
        rows = Rows([None], rows.names, rows.kind)
    return Observation(event, message, rows=rows)


@lru_cache(maxsize=1024)  # there are few predictors and many events
def _index_bytes(names: tuple[str, str, str]) -> int:
    # The index's name is in lower case, which may be longer.
    return sum(len(name.lower().encode()) for name in names)
