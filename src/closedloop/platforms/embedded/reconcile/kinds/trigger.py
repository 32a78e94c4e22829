"""Trigger: which events of a Broker go to which subscriber."""

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from closedloop.platforms.embedded.reconcile.kinds.base import Fault, Manifested, Strict
from closedloop.platforms.embedded.reconcile.kinds.delivery import (
    Delivery,
    Destination,
    delivery_faults,
    destination_faults,
)

REPLAY = "closedloop.dev/replay"

_ATTRIBUTE = re.compile(r"^[a-z0-9]+$")


class Filter(Strict):
    """Attributes that an event must have; an empty value is any value."""

    attributes: dict[str, str] = Field(default={})


class TriggerSpec(Strict):
    """What a Trigger wants."""

    broker: str
    filter: Filter = Filter()
    subscriber: Destination
    delivery: Delivery | None = None


class Trigger(Manifested):
    """eventing.knative.dev/v1 Trigger."""

    annotations: ClassVar = {REPLAY: None}

    api_version: Literal["eventing.knative.dev/v1"]
    kind: Literal["Trigger"]
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
