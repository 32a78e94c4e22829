"""Broker: where events are sent to, and the delivery of Triggers that have none."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from closedloop.platforms.embedded.reconcile.kinds.base import Fault, Manifested, Strict
from closedloop.platforms.embedded.reconcile.kinds.delivery import Delivery, delivery_faults


class BrokerSpec(Strict):
    """What a Broker wants."""

    delivery: Delivery | None = None


class Broker(Manifested):
    """eventing.knative.dev/v1 Broker. Its ingress here answers before delivery, always."""

    annotations: ClassVar = {
        "messaging.knative.dev/async-handler": "true",
        "eventing.knative.dev/broker.class": "MTChannelBasedBroker",
    }

    api_version: Literal["eventing.knative.dev/v1"]
    kind: Literal["Broker"]
    spec: BrokerSpec = BrokerSpec()

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        yield from delivery_faults(self.spec.delivery, ("spec", "delivery"))
