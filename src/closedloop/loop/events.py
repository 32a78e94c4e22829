"""The CloudEvents that Seldon's executor sends, in HTTP binary mode.

Wire format: CloudEvents 1.0 HTTP protocol binding, section 3.1 (binary content
mode), with the extension attributes of Seldon Core v1's executor
(`executor/logger/worker.go`, tag v1.17.1).
"""

import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from closedloop.loop import rfc3339

REQUEST = "io.seldon.serving.inference.request"
RESPONSE = "io.seldon.serving.inference.response"
FEEDBACK = "io.seldon.serving.feedback"
SECTIONS = {REQUEST: "request", RESPONSE: "response", FEEDBACK: "feedback"}
"""The types of events, and the section of a document that each is in."""

PUID_HEADER = "Seldon-Puid"

SKEW_SECONDS = 300
"""How far a sender's clock may be ahead of the broker's, or where no broker says, of ours."""
# A document id may have 512 bytes in Elasticsearch; `-item-<row>` must fit too.
_LONGEST_REQUEST_ID = 480
_SKEW = SKEW_SECONDS * 1_000_000_000
# The characters that the binding leaves in a header as they are: printable ASCII but for these.
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
REQUIRED = ("ce-id", "ce-source", "ce-specversion", "ce-type")
"""The headers that every CloudEvent in binary mode has."""
UNNAMED = {
    "ce-namespace": "unknown-namespace",
    "ce-inferenceservicename": "unknown-inferenceservice",
    "ce-endpoint": "unknown-endpoint",
}
"""The names of a predictor whose event does not say them, as Seldon's own request logger has it."""


class InvalidEvent(ValueError):
    """An event that cannot be used.

    `reason` is one of a small fixed set of words, fit for a metric label; the
    message names the fault, the value and the remedy.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a model: a request, an answer or feedback.

    `time` is RFC 3339, in UTC; `request_id` is the Seldon-Puid, the only key
    that joins the three (`id` is new for every event).
    """

    id: str
    source: str
    type: str
    time: str
    request_id: str
    namespace: str
    deployment: str
    predictor: str
    model: str
    content_type: str
    body: bytes

    @property
    def stamp(self) -> str:
        """Orders events of one kind about one request: by time, then by id."""
        return stamp(self.time, self.id)

    def headers(self) -> dict[str, str]:
        """The HTTP headers of this event in binary mode, percent-encoded."""
        attributes = {
            "ce-specversion": "1.0",
            "ce-id": self.id,
            "ce-source": self.source,
            "ce-type": self.type,
            "ce-time": self.time,
            "ce-requestid": self.request_id,
            "ce-namespace": self.namespace,
            "ce-inferenceservicename": self.deployment,
            "ce-endpoint": self.predictor,
            "ce-modelid": self.model,
            "ce-protocol": "seldon",
        }
        encoded = {name: quote(value, safe=_PLAIN) for name, value in attributes.items()}
        return {**encoded, "content-type": self.content_type}


def from_http(headers: Mapping[str, str], body: bytes) -> Event:
    """Read one event in binary mode.

    `headers` must look names up without regard to case, or have lower-case
    names; values are percent-decoded, as section 3.1.3.2 of the binding says.
    An absent namespace, deployment or predictor becomes that of `UNNAMED`. A time more than
    `SKEW_SECONDS` in the future becomes that of arrival at the broker, the same for every
    receiver; where no broker says it, the event is refused.

    Raises `InvalidEvent` with reason `missing_header`, `bad_header`,
    `bad_time` or `unknown_type`.
    """
    for name in REQUIRED:
        if not headers.get(name):
            raise InvalidEvent(
                "missing_header",
                f"header {name} is missing or empty: send a CloudEvent in HTTP binary mode",
            )
    if headers["ce-specversion"] != "1.0":
        raise InvalidEvent(
            "bad_header",
            f"ce-specversion is {headers['ce-specversion']!r}: send '1.0'",
        )
    if headers["ce-type"] not in SECTIONS:
        raise InvalidEvent(
            "unknown_type", f"ce-type is {headers['ce-type']!r}: send one of {', '.join(SECTIONS)}"
        )
    request_id = _decoded(headers, "ce-requestid")
    if not request_id:
        raise InvalidEvent(
            "missing_header",
            "header ce-requestid is missing or empty: send the prediction's Seldon-Puid in it",
        )
    namespace, deployment, predictor = (
        _decoded(headers, name) or absent for name, absent in UNNAMED.items()
    )
    event = Event(
        id=_decoded(headers, "ce-id"),
        source=_decoded(headers, "ce-source"),
        type=headers["ce-type"],
        time=_sent(_decoded(headers, "ce-time"), _decoded(headers, "ce-knativearrivaltime")),
        request_id=request_id,
        namespace=namespace,
        deployment=deployment,
        predictor=predictor,
        model=_decoded(headers, "ce-modelid"),
        content_type=headers.get("content-type") or "application/json",
        body=body,
    )
    # Control characters and bytes that are no UTF-8 fit neither JSON nor a metric label.
    for name, value in (
        ("ce-id", event.id),
        ("ce-source", event.source),
        ("ce-requestid", event.request_id),
        ("ce-namespace", event.namespace),
        ("ce-inferenceservicename", event.deployment),
        ("ce-endpoint", event.predictor),
        ("ce-modelid", event.model),
        ("content-type", event.content_type),
    ):
        if not value.isprintable():
            raise InvalidEvent(
                "bad_header", f"header {name} is {value[:200]!r}: send printable UTF-8 text"
            )
    if len(request_id.encode()) > _LONGEST_REQUEST_ID:
        raise InvalidEvent(
            "bad_header",
            f"header ce-requestid has {len(request_id.encode())} bytes:"
            f" send at most {_LONGEST_REQUEST_ID}",
        )
    return event


def timestamp(time: str) -> str:
    """An event's time as it is kept: `rfc3339.canonical`. Raises `InvalidEvent` (`bad_time`)."""
    try:
        return rfc3339.canonical(time)
    except ValueError as error:
        raise InvalidEvent("bad_time", str(error)) from None


def stamp(time: str, event_id: str) -> str:
    """A string that sorts as (time, id) does; the greater is the newer.

    Raises `InvalidEvent` (`bad_time`).
    """
    return f"{_nanoseconds(time):021d} {event_id}"


def _sent(time: str, arrival: str) -> str:
    """The time of an event; a clock that is ahead would make its events final for ever."""
    if not time:  # a broker stamps arrival; the sender's own time is the better one
        time = arrival
    latest = clock.time_ns() + _SKEW
    if arrival and _nanoseconds(arrival) <= latest:
        if _nanoseconds(time) > _nanoseconds(arrival) + _SKEW:
            time = arrival
    elif _nanoseconds(time) > latest:
        raise InvalidEvent(
            "bad_time",
            f"ce-time is {time!r}, more than {SKEW_SECONDS} s ahead: set the sender's clock",
        )
    return timestamp(time)


def _nanoseconds(time: str) -> int:
    try:
        return rfc3339.nanoseconds(time)
    except ValueError as error:
        raise InvalidEvent("bad_time", str(error)) from None


def _decoded(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name) or ""
    if "%" not in value:
        return value
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:  # a lone % of a sender that does not encode
        return value
