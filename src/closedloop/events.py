"""The CloudEvents that Seldon's executor sends, in HTTP binary mode.

Wire format: CloudEvents 1.0 HTTP protocol binding, section 3.1 (binary content
mode), with the extension attributes of Seldon Core v1's executor
(`executor/logger/worker.go`, tag v1.17.1).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

REQUEST = "io.seldon.serving.inference.request"
RESPONSE = "io.seldon.serving.inference.response"
FEEDBACK = "io.seldon.serving.feedback"
TYPES = (REQUEST, RESPONSE, FEEDBACK)

PUID_HEADER = "Seldon-Puid"

# Elasticsearch reads at most nine digits of a second's fraction.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
# A document id may have 512 bytes in Elasticsearch; `-item-<row>` must fit too.
_LONGEST_REQUEST_ID = 480
_ATTRIBUTE_HEADERS = ("ce-id", "ce-source", "ce-type", "ce-specversion")


class InvalidEvent(ValueError):
    """An event that cannot be used.

    `reason` is one of a small fixed set of words, fit for a metric label; the
    message says what, which value and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a model: a request, an answer or feedback.

    `time` is RFC 3339 as sent; `request_id` is the Seldon-Puid, the only key
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
        """The HTTP headers of this event in binary mode."""
        return {
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
            "content-type": self.content_type,
        }


def from_http(headers: Mapping[str, str], body: bytes) -> Event:
    """Read one event in binary mode.

    `headers` must look names up without regard to case, or have lower-case
    names. An absent namespace, deployment or predictor becomes
    `unknown-namespace`, `unknown-inferenceservice` or `unknown-endpoint`, as
    Seldon's own request logger has it.

    Raises `InvalidEvent` with reason `missing_header`, `bad_header`,
    `bad_time` or `unknown_type`.
    """
    for name in _ATTRIBUTE_HEADERS:
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
    if headers["ce-type"] not in TYPES:
        raise InvalidEvent(
            "unknown_type", f"ce-type is {headers['ce-type']!r}: send one of {', '.join(TYPES)}"
        )
    request_id = headers.get("ce-requestid", "")
    if not request_id:
        raise InvalidEvent(
            "missing_header",
            "header ce-requestid is missing or empty: send the prediction's Seldon-Puid in it",
        )
    # A broker stamps arrival; the sender's own time is the better one when it is there.
    time = headers.get("ce-time") or headers.get("ce-knativearrivaltime") or ""
    nanoseconds(time)
    event = Event(
        id=headers["ce-id"],
        source=headers["ce-source"],
        type=headers["ce-type"],
        time=time,
        request_id=request_id,
        namespace=headers.get("ce-namespace") or "unknown-namespace",
        deployment=headers.get("ce-inferenceservicename") or "unknown-inferenceservice",
        predictor=headers.get("ce-endpoint") or "unknown-endpoint",
        model=headers.get("ce-modelid") or "",
        content_type=headers.get("content-type") or "application/json",
        body=body,
    )
    # Control characters and bytes that are no UTF-8 fit neither JSON nor a metric label.
    if not "".join(event.headers().values()).isprintable():
        name, value = next(item for item in event.headers().items() if not item[1].isprintable())
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


@lru_cache(maxsize=4096)  # an event's time is read when it comes, and again with each of its rows
def nanoseconds(time: str) -> int:
    """RFC 3339 time as nanoseconds since the epoch, without losing digits.

    A time without an offset is UTC. Raises `InvalidEvent` (`bad_time`).
    """
    parts = _TIME.fullmatch(time)
    if parts is None:
        raise _bad_time(time)
    whole, fraction, offset = parts.groups()
    try:
        seconds = int(datetime.fromisoformat(whole + (offset or "Z")).timestamp())
    except ValueError:
        raise _bad_time(time) from None
    if seconds < 0:
        raise InvalidEvent("bad_time", f"ce-time is {time!r}: send a time after 1970")
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def stamp(time: str, event_id: str) -> str:
    """A string that sorts as (time, id) does; the greater is the newer."""
    return f"{nanoseconds(time):021d} {event_id}"


def _bad_time(time: str) -> InvalidEvent:
    return InvalidEvent(
        "bad_time", f"ce-time is {time[:200]!r}: send RFC 3339, such as 2026-01-31T12:00:00Z"
    )
