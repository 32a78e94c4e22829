"""The CloudEvents that Seldon's executor sends, in HTTP binary mode.

Wire format: CloudEvents 1.0 HTTP protocol binding, section 3.1 (binary content
mode), with the extension attributes of Seldon Core v1's executor
(`executor/logger/worker.go`, tag v1.17.1).
"""

import time as clock
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
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
_SENDER = (
    "ce-source", "ce-namespace", "ce-inferenceservicename", "ce-endpoint", "ce-modelid",
    "content-type",
)  # fmt: skip
HEADERS = (
    *REQUIRED, "ce-time", "ce-knativearrivaltime", "ce-requestid", "ce-namespace",
    "ce-inferenceservicename", "ce-endpoint", "ce-modelid", "content-type",
)  # fmt: skip
"""Every header that `from_http` reads."""
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


class Event(NamedTuple):
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
    get = headers.get
    identity, kind = get("ce-id"), get("ce-type")
    if not (identity and get("ce-source") and get("ce-specversion") and kind):
        missing = next(name for name in REQUIRED if not get(name))
        raise InvalidEvent(
            "missing_header",
            f"header {missing} is missing or empty: send a CloudEvent in HTTP binary mode",
        )
    if headers["ce-specversion"] != "1.0":
        raise InvalidEvent(
            "bad_header",
            f"ce-specversion is {headers['ce-specversion']!r}: send '1.0'",
        )
    if kind not in SECTIONS:
        raise InvalidEvent(
            "unknown_type", f"ce-type is {kind!r}: send one of {', '.join(SECTIONS)}"
        )
    request_id = _decoded(get("ce-requestid"))
    if not request_id:
        raise InvalidEvent(
            "missing_header",
            "header ce-requestid is missing or empty: send the prediction's Seldon-Puid in it",
        )
    time = _sent(_decoded(get("ce-time")), _decoded(get("ce-knativearrivaltime")))
    event_id = _printable("ce-id", _decoded(identity))
    _printable("ce-requestid", request_id)
    if len(request_id) * 4 > _LONGEST_REQUEST_ID and (
        (length := len(request_id.encode())) > _LONGEST_REQUEST_ID
    ):
        raise InvalidEvent(
            "bad_header",
            f"header ce-requestid has {length} bytes: send at most {_LONGEST_REQUEST_ID}",
        )
    source, namespace, deployment, predictor, model, content_type = _sender(
        tuple([get(name) for name in _SENDER])
    )
    return Event(
        event_id, source, kind, time, request_id, namespace, deployment, predictor, model,
        content_type, body,
    )  # fmt: skip


@lru_cache(maxsize=1024)  # there are few models and many events
def _sender(said: tuple[str | None, ...]) -> tuple[str, ...]:
    """The values of `_SENDER`, decoded, with those of `UNNAMED` where a name is absent."""
    *attributes, content_type = said
    decoded = [_decoded(value) for value in attributes]
    named = [value or UNNAMED.get(name, "") for name, value in zip(_SENDER, decoded, strict=False)]
    values = (*named, content_type or "application/json")
    for name, value in zip(_SENDER, values, strict=True):
        _printable(name, value)
    return values


def _printable(name: str, value: str) -> str:
    # Control characters and bytes that are no UTF-8 fit neither JSON nor a metric label.
    if not value.isprintable():
        raise InvalidEvent(
            "bad_header", f"header {name} is {value[:200]!r}: send printable UTF-8 text"
        )
    return value


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
    try:
        return f"{rfc3339.nanoseconds(time):021d} {event_id}"
    except ValueError as error:
        raise InvalidEvent("bad_time", str(error)) from None


def _sent(time: str, arrival: str) -> str:
    """The time of an event; a clock that is ahead would make its events final for ever."""
    time = time or arrival  # a broker stamps arrival; the sender's own time is the better one
    latest = clock.time_ns() + _SKEW
    try:
        came = rfc3339.nanoseconds(arrival) if arrival else None
        sent = rfc3339.nanoseconds(time)
        if came is not None and came <= latest:
            return rfc3339.canonical(arrival if sent > came + _SKEW else time)
        if sent <= latest:
            return rfc3339.canonical(time)
    except ValueError as error:
        raise InvalidEvent("bad_time", str(error)) from None
    raise InvalidEvent(
        "bad_time",
        f"ce-time is {time!r}, more than {SKEW_SECONDS} s ahead: set the sender's clock",
    )


def _decoded(value: str | None) -> str:
    if not value or "%" not in value:
        return value or ""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:  # a lone % of a sender that does not encode
        return value
