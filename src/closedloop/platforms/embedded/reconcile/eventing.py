"""Brokers and Triggers: references become URLs."""

from collections.abc import Iterator

from closedloop.platforms.embedded import desired
from closedloop.platforms.embedded.kinds.base import Manifested
from closedloop.platforms.embedded.kinds.eventing import (
    REPLAY,
    Broker,
    Delivery,
    Destination,
    Trigger,
    seconds,
)
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind
from closedloop.platforms.embedded.reconcile.urls import rewrite

# A Service as a destination is its port 80: Knative knows a Service by its host name only.
_PORT = 80


def brokers(context: Context) -> Iterator[str]:
    """All Brokers. One whose dead-letter sink is not there takes events all the same."""
    for one in of_kind(context.objects, Broker):
        _delivery(context, one, one.spec.delivery)
        yield one.path


def triggers(context: Context) -> Iterator[desired.Trigger]:
    """The Triggers whose broker, subscriber and dead-letter sink are there.

    A Trigger's delivery replaces its Broker's as a whole (Knative's `trigger.go`).
    """
    for one in of_kind(context.objects, Trigger):
        path = f"{one.namespace}/{one.spec.broker}"
        broker = context.brokers.get(path)
        if broker is None:
            context.problem(one, f"Broker {path} does not exist")
        subscriber = _url(context, one, one.spec.subscriber)
        of_broker = broker.spec.delivery if broker else None
        wanted = one.spec.delivery if _says_anything(one.spec.delivery) else of_broker
        delivery = _delivery(context, one, wanted)
        if broker is None or subscriber is None or delivery is None:
            continue
        yield desired.Trigger(
            name=one.path,
            broker=path,
            filters=one.spec.filter.attributes,
            subscriber=subscriber,
            delivery=delivery,
            replay=one.metadata.annotations.get(REPLAY) == "true",
        )


def _says_anything(delivery: Delivery | None) -> bool:
    return delivery is not None and delivery != Delivery()


def _delivery(
    context: Context, one: Manifested, delivery: Delivery | None
) -> desired.Delivery | None:
    """A delivery with its dead-letter sink as a URL; None when that cannot be had.

    Where nothing is said a cluster's default holds; in a delivery that says
    something, an absent retry is none and an absent backoff no delay.
    """
    if delivery is None or not _says_anything(delivery):
        return desired.Delivery()
    sink = delivery.dead_letter_sink
    url = None if sink is None else _url(context, one, sink)
    if sink is not None and url is None:
        return None
    backoff = delivery.backoff_policy and delivery.backoff_delay
    return desired.Delivery(
        retry=delivery.retry or 0,
        policy=delivery.backoff_policy or "exponential",
        delay=seconds(backoff) if backoff else 0.0,
        timeout=seconds(delivery.timeout) if delivery.timeout else desired.Delivery().timeout,
        dead_letter=url,
    )


def _url(context: Context, one: Manifested, destination: Destination) -> str | None:
    if destination.ref is None:
        return rewrite(destination.uri or "", context.url_of)
    home = destination.ref.namespace or one.namespace
    name = destination.ref.name
    service = context.services.get(f"{home}/{name}")
    if service is None:
        context.problem(one, f"Service {home}/{name} does not exist")
        return None
    if _PORT not in {port.port for port in service.spec.ports}:
        context.problem(one, f"Service {home}/{name} has no port {_PORT}")
        return None
    base = context.url_of(home, name, _PORT)
    return f"{base}/{destination.uri.lstrip('/')}" if destination.uri else base
