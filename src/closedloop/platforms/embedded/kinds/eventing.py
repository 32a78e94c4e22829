"""Broker and Trigger: events, their filters and their delivery."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from closedloop.platforms.embedded.kinds.base import Fault, Manifested, Strict
from closedloop.validation import Path

REPLAY = "closedloop.dev/replay"

_ATTRIBUTE = re.compile(r"^[a-z0-9]+$")
# The part of ISO 8601 that Knative's own duration library reads: no years and months.
_DURATION = re.compile(
    r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=.)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = (604_800, 86_400, 3_600, 60, 1)


def seconds(duration: str) -> float:
    """The length of an ISO 8601 duration. Raises ValueError."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError("a duration is ISO 8601, such as PT0.5S")
    pairs = zip(_SECONDS, match.groups(default="0"), strict=True)
    return sum(unit * float(number) for unit, number in pairs)


def _duration(value: str) -> str:
    seconds(value)
    return value


Duration = Annotated[str, AfterValidator(_duration)]


class Ref(Strict):
    """A Service, in the referring object's own namespace when it names none."""

    api_version: Literal["v1"]
    kind: Literal["Service"]
    name: str
    namespace: str | None = None


class Destination(Strict):
    """Where events go: a Service, a URL, or a path below a Service."""

    ref: Ref | None = None
    uri: str | None = None


class Delivery(Strict):
    """How hard to try, and where to put events that could not be delivered."""

    retry: int | None = Field(default=None, ge=0)
    backoff_policy: Literal["linear", "exponential"] | None = None
    backoff_delay: Duration | None = None
    timeout: Duration | None = None
    dead_letter_sink: Destination | None = None


def destination_faults(destination: Destination, path: Path) -> Iterator[Fault]:
    """A destination needs a ref, a whole URL, or a ref and a path below it."""
    uri = destination.uri
    whole = uri is not None and _is_url(uri)
    if destination.ref is None and not whole:
        yield Fault(path, "must have a ref to a Service or a uri that starts with http://")
    elif destination.ref is not None and whole:
        yield Fault((*path, "uri"), f"is {uri!r}: beside a ref only a path is supported")


def _is_url(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def delivery_faults(delivery: Delivery | None, path: Path) -> Iterator[Fault]:
    """Rules of a delivery."""
    if delivery is not None and delivery.dead_letter_sink is not None:
        yield from destination_faults(delivery.dead_letter_sink, (*path, "deadLetterSink"))


class BrokerSpec(Strict):
    """The spec of a Broker."""

    delivery: Delivery | None = None


class Broker(Manifested):
    """Where events are sent to; its ingress answers before delivery, always."""

    annotations: ClassVar = {
        "messaging.knative.dev/async-handler": "true",
        "eventing.knative.dev/broker.class": "MTChannelBasedBroker",
    }

    spec: BrokerSpec = BrokerSpec()

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        yield from delivery_faults(self.spec.delivery, ("spec", "delivery"))


class Filter(Strict):
    """Attributes that an event must have; an empty value is any value."""

    attributes: dict[str, str] = Field(default={})


class TriggerSpec(Strict):
    """The spec of a Trigger."""

    broker: str
    filter: Filter = Filter()
    subscriber: Destination
    delivery: Delivery | None = None


class Trigger(Manifested):
    """Which events of a Broker go to which subscriber."""

    annotations: ClassVar = {REPLAY: None}

    spec: TriggerSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        replay = self.metadata.annotations.get(REPLAY, "false")
        if replay not in ("true", "false"):
            yield Fault(("metadata", "annotations", REPLAY), f"is {replay!r}: write true or false")
        for name in self.spec.filter.attributes:
            if not _ATTRIBUTE.match(name):
                yield Fault(
                    ("spec", "filter", "attributes", name),
                    "is no attribute: names are lower-case letters and digits",
                )
        yield from destination_faults(self.spec.subscriber, ("spec", "subscriber"))
        yield from delivery_faults(self.spec.delivery, ("spec", "delivery"))
