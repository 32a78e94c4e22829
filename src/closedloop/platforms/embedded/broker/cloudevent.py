"""CloudEvents as the broker sees them: attributes and a body that is never looked into.

Wire format: CloudEvents 1.0 and its HTTP protocol binding, binary mode
(section 3.1) and structured mode with JSON (3.2). The extensions
`knativearrivaltime` and `knativebrokerttl` are those of Knative's broker
ingress (`pkg/broker/ingress/ingress_handler.go`).

As in Knative 1.22, whose SDK (cloudevents/sdk-go 2.16) leaves it out, nothing
is percent-encoded or decoded (section 3.1.3.2 of the binding): a header's value
goes through as it came, and one from structured mode as UTF-8. The SDK reads
`time`, and writes it in UTC.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

TTL = "knativebrokerttl"
ARRIVAL_TIME = "knativearrivaltime"
MAX_TTL = 255

_REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]+")
# The texts that Go's time.Parse takes for RFC 3339.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d{1,2}):(\d\d:\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_NO_TIME = "0001-01-01T00:00:00Z"  # Go's zero, which the SDK takes for none
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_STRUCTURED = "application/cloudevents"
_CONTEXT_HEADERS = ("x-request-id", "retry-after", "traceparent", "tracestate")
_CONTEXT_PREFIXES = ("knative-", "x-b3-")


class InvalidCloudEvent(ValueError):
    """Not an event, or none that may enter; the message names fault, value and remedy.

    `reason` is `malformed` or `ttl`, fit for a metric label.
    """

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event.

    `attributes` are the context attributes and extensions by their names, with
    the body's media type as `datacontenttype`; `context` the HTTP headers that
    travel along; `ttl` how often a reply may still enter the broker, None
    before the event has entered it for the first time.
    """

    attributes: Mapping[str, str]
    body: bytes
    context: Mapping[str, str] = field(default_factory=dict)
    ttl: int | None = None


def is_event(headers: Mapping[str, str]) -> bool:
    """Whether headers claim a CloudEvent; lookups in `headers` must ignore case."""
    return "ce-specversion" in headers or _media_type(headers).startswith(_STRUCTURED)


def from_http(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """Read one event in binary or structured mode; lookups in `headers` must ignore case.

    Raises `InvalidCloudEvent`.
    """
    media_type = _media_type(headers)
    if media_type.startswith(_STRUCTURED):
        if media_type != f"{_STRUCTURED}+json":
            raise InvalidCloudEvent(
                f"content-type is {media_type!r}: send binary mode or application/cloudevents+json"
            )
        attributes, body = _structured(body)
    else:
        attributes = {}
        for name, value in headers.items():
            if name[:3].lower() == "ce-" and name.lower() != "ce-datacontenttype":
                attributes.setdefault(name[3:].lower(), value)  # of two, the first
        if "content-type" in headers:
            attributes["datacontenttype"] = headers["content-type"]
    _validate(attributes)
    if "time" in attributes:
        attributes["time"] = _utc(attributes["time"])
        if attributes["time"] == _NO_TIME:
            del attributes["time"]
    ttl = attributes.pop(TTL, None)
    context = {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in _CONTEXT_HEADERS or name.lower().startswith(_CONTEXT_PREFIXES)
    }
    # A TTL that is no number counts as none, as in Knative's TTLDefaulter.
    number = int(ttl) if ttl is not None and re.fullmatch(r"-?\d{1,9}", ttl) else None
    return CloudEvent(attributes, body, context, number)


def admit(event: CloudEvent, arrival: str) -> CloudEvent:
    """The event as it enters the broker at `arrival` (RFC 3339): stamped, one hop less to live.

    Raises `InvalidCloudEvent` (reason `ttl`) when its hops are spent.
    """
    ttl = MAX_TTL if event.ttl is None else event.ttl - 1
    if ttl <= 0:
        raise InvalidCloudEvent(
            f"{TTL} of event {event.attributes['id']!r} is spent: "
            "look for a subscriber that replies to its own replies",
            "ttl",
        )
    return replace(event, attributes={**event.attributes, ARRIVAL_TIME: arrival}, ttl=ttl)


def with_extensions(event: CloudEvent, extensions: Mapping[str, str]) -> CloudEvent:
    """The event with extension attributes added."""
    return replace(event, attributes={**event.attributes, **extensions})


def to_http(event: CloudEvent) -> dict[str, str]:
    """Headers of the event in binary mode; the broker's own TTL stays behind."""
    headers = {f"ce-{name}": value for name, value in event.attributes.items()}
    content_type = headers.pop("ce-datacontenttype", None)
    if content_type is not None:
        headers["content-type"] = content_type
    headers.update(event.context)
    return headers


def to_message(event: CloudEvent) -> bytes:
    """The event as one stored message: a line of JSON, then the body as it came."""
    head = [event.attributes, event.context, event.ttl]
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + event.body


def from_message(data: bytes) -> CloudEvent:
    """The event that `to_message` stored. Raises ValueError for anything else."""
    head, newline, body = data.partition(b"\n")
    if not newline:
        raise ValueError("the stored message has no line of attributes")
    attributes, context, ttl = json.loads(head)
    return CloudEvent(attributes, body, context, ttl)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _validate(attributes: Mapping[str, str]) -> None:
    for name in _REQUIRED:
        if not attributes.get(name):
            raise InvalidCloudEvent(
                f"attribute {name} is missing or empty: send a CloudEvent with ce-{name}"
            )
    if attributes["specversion"] != "1.0":
        raise InvalidCloudEvent(
            f"specversion is {attributes['specversion']!r}: send CloudEvents '1.0'"
        )
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise InvalidCloudEvent(
                f"attribute name {name!r} is not allowed: use lower-case letters and digits only"
            )
        if _UNPRINTABLE.search(value):
            raise InvalidCloudEvent(
                f"attribute {name} is {value!r}: send printable UTF-8 without control characters"
            )


def _utc(text: str) -> str:
    """The moment in UTC with at most nine digits of a second, as Go writes it.

    Raises `InvalidCloudEvent`.
    """
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        day, hour, rest, fraction, sign, hours, minutes = match.groups()
        moment = datetime.fromisoformat(f"{day}T{hour:0>2}:{rest}")
        if sign:
            if int(hours) > 24 or int(minutes) > 60:  # as lax as Go is
                raise ValueError
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        raise InvalidCloudEvent(
            f"time is {text!r}: send RFC 3339, such as 2026-01-31T12:00:00Z"
        ) from None
    digits = (fraction or "")[:9].rstrip("0")
    return f"{moment.isoformat()}{digits and '.' + digits}Z"


def _structured(document: bytes) -> tuple[dict[str, str], bytes]:
    try:
        members = json.loads(document, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidCloudEvent("the body is not JSON: send one CloudEvent as an object") from None
    if not isinstance(members, dict):
        raise InvalidCloudEvent("the body is no JSON object: send one CloudEvent as an object")
    data = members.pop("data", None)
    encoded = members.pop("data_base64", None)
    attributes = {
        name: _canonical(name, value) for name, value in members.items() if value is not None
    }
    if encoded is not None:
        try:
            return attributes, base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidCloudEvent("data_base64 is not Base64: encode the data again") from None
    if data is None:
        return attributes, b""
    content_type = attributes.setdefault("datacontenttype", "application/json")
    is_json = content_type.partition(";")[0].strip().endswith(("/json", "+json"))
    text = data if isinstance(data, str) and not is_json else json.dumps(data)
    return attributes, text.encode("utf-8", "surrogatepass")


def _canonical(name: str, value: object) -> str:
    """CloudEvents 1.0, section 2.4: the string form of an attribute's value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    raise InvalidCloudEvent(f"attribute {name} is {value!r}: send a string, integer or boolean")


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)
