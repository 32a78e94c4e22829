"""Brokers and Triggers: references become URLs."""

from collections.abc import Iterator

from closedloop.platforms.embedded.desired import BrokerSpec, TriggerSpec
from closedloop.platforms.embedded.kinds.base import Manifested
from closedloop.platforms.embedded.kinds.eventing import (
    REPLAY,
    Broker,
    Delivery,
    Destination,
    Trigger,
)
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind
from closedloop.platforms.embedded.reconcile.urls import missing, rewrite

# A Service as a destination is its port 80: Knative knows a Service by its host name only.
_PORT = 80


def brokers(context: Context) -> Iterator[BrokerSpec]:
    """All Brokers. One whose dead-letter sink is not there takes events all the same."""
    for one in of_kind(context.objects, Broker):
        delivery, _ = _delivery(context, one, one.spec.delivery, one.namespace)
        yield BrokerSpec(one.namespace, one.name, delivery)


def triggers(context: Context) -> Iterator[TriggerSpec]:
    """The Triggers whose broker, subscriber and dead-letter sink are there.

    A Trigger's delivery replaces its Broker's as a whole (Knative's `trigger.go`).
    """
    for one in of_kind(context.objects, Trigger):
        namespace = one.namespace
        broker = context.brokers.get(f"{namespace}/{one.spec.broker}")
        if broker is None:
            context.problem(one, f"Broker {namespace}/{one.spec.broker} does not exist")
        subscriber = _url(context, one, one.spec.subscriber, namespace)
        wanted = one.spec.delivery or (broker.spec.delivery if broker else None)
        delivery, complete = _delivery(context, one, wanted, namespace)
        if broker is None or subscriber is None or not complete:
            continue
        yield TriggerSpec(
            namespace=namespace,
            name=one.name,
            broker=one.spec.broker,
            filters=one.spec.filter.attributes,
            subscriber=subscriber,
            delivery=delivery,
            replay=one.metadata.annotations.get(REPLAY) == "true",
        )


def _delivery(
    context: Context, one: Manifested, delivery: Delivery | None, namespace: str
) -> tuple[dict[str, object], bool]:
    """A delivery with its dead-letter sink as a URL, and whether that could be had."""
    if delivery is None:
        return {}, True
    fields: dict[str, object] = delivery.model_dump(
        by_alias=True, exclude_none=True, exclude={"dead_letter_sink"}
    )
    if delivery.dead_letter_sink is None:
        return fields, True
    url = _url(context, one, delivery.dead_letter_sink, namespace)
    if url is None:
        return fields, False
    return fields | {"deadLetterSink": {"uri": url}}, True


def _url(context: Context, one: Manifested, destination: Destination, namespace: str) -> str | None:
    if destination.ref is None:
        uri = destination.uri or ""
        for absent in missing([uri], context.url_of):
            context.problem(one, f"Service {absent} does not exist")
        return rewrite(uri, context.url_of)
    home = destination.ref.namespace or namespace
    name = destination.ref.name
    service = context.services.get(f"{home}/{name}")
    if service is None:
        context.problem(one, f"Service {home}/{name} does not exist")
        return None
    if _PORT not in {port.port for port in service.spec.ports}:
        context.problem(one, f"Service {home}/{name} has no port {_PORT}")
        return None
    try:
        base = context.url_of(home, name, _PORT)
    except LookupError:
        context.problem(one, f"Service {home}/{name}:{_PORT} has no address here")
        return None
    return f"{base}/{destination.uri.lstrip('/')}" if destination.uri else base
