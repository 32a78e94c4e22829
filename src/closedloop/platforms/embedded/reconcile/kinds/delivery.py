"""Delivery and destination of events, which Broker and Trigger share."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from closedloop.platforms.embedded.reconcile.kinds.base import Fault, Path, Strict

# The part of ISO 8601 that Knative's own duration library reads: no years and months.
_DURATION = re.compile(
    r"^P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+(\.\d+)?H)?(\d+(\.\d+)?M)?(\d+(\.\d+)?S)?)?$"
)


def _duration(value: str) -> str:
    if not _DURATION.match(value):
        raise ValueError("a duration is ISO 8601, such as PT0.5S")
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
    """How hard to try, and where to put what could not be delivered."""

    retry: int | None = Field(default=None, ge=0)
    backoff_policy: Literal["linear", "exponential"] | None = None
    backoff_delay: Duration | None = None
    timeout: Duration | None = None
    dead_letter_sink: Destination | None = None


def destination_faults(destination: Destination, path: Path) -> Iterator[Fault]:
    """A destination needs a ref, a whole URL, or a ref and a path below it."""
    uri = destination.uri
    whole = uri is not None and uri.startswith(("http://", "https://"))
    if destination.ref is None and not whole:
        yield Fault(path, "must have a ref to a Service or a uri that starts with http://")
    elif destination.ref is not None and whole:
        yield Fault((*path, "uri"), f"is {uri!r}: beside a ref only a path is supported")


def delivery_faults(delivery: Delivery | None, path: Path) -> Iterator[Fault]:
    """Rules of a delivery."""
    if delivery is not None and delivery.dead_letter_sink is not None:
        yield from destination_faults(delivery.dead_letter_sink, (*path, "deadLetterSink"))
