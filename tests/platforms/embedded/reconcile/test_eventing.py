from typing import Any

import pytest

from closedloop.platforms.embedded.desired import Delivery, Trigger
from tests.platforms.embedded.reconcile.objects import (
    Document,
    faults,
    manifest,
    reconcile,
    service,
)


def broker(**delivery: Any) -> Document:
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": {"name": "default", "namespace": "ns"},
        "spec": {"delivery": delivery} if delivery else {},
    }


def ref(name: str, **more: str) -> Document:
    return {"ref": {"apiVersion": "v1", "kind": "Service", "name": name}, **more}


def trigger(subscriber: Document, **spec: Any) -> Document:
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": "t", "namespace": "ns"},
        "spec": {"broker": "default", "subscriber": subscriber, **spec},
    }


def only_trigger(*documents: Document) -> Trigger:
    (spec,) = reconcile(*documents).triggers
    return spec


def test_the_request_loggers_trigger() -> None:
    spec = only_trigger(
        manifest("request-logger/trigger.yaml"),
        manifest("request-logger/service.yaml"),
        manifest("knative-eventing/broker.yaml"),
    )
    base = "http://here/seldon-logs/seldon-request-logger/80"
    assert spec == Trigger(
        name="seldon-logs/seldon-request-logger",
        broker="seldon-logs/default",
        filters={},
        subscriber=base,
        delivery=Delivery(retry=12, delay=0.2, dead_letter=f"{base}/dead-letters"),
        replay=True,
    )


def test_filters_and_a_path_below_the_subscriber() -> None:
    spec = only_trigger(
        broker(),
        service("s"),
        trigger(ref("s", uri="/events"), filter={"attributes": {"type": "a", "endpoint": ""}}),
    )
    assert spec.subscriber == "http://here/ns/s/80/events"
    assert spec.filters == {"type": "a", "endpoint": ""}
    assert (spec.delivery, spec.replay) == (Delivery(), False)


def test_a_subscriber_by_url_inside_and_outside() -> None:
    for uri, url in [
        ("http://s.ns.svc.cluster.local:81/x", "http://here/ns/s/81/x"),
        ("http://example.org/x", "http://example.org/x"),
    ]:
        assert only_trigger(broker(), trigger({"uri": uri})).subscriber == url


def test_a_triggers_delivery_replaces_the_brokers_as_a_whole() -> None:
    spec = only_trigger(
        broker(retry=3, deadLetterSink={"uri": "http://dead/"}),
        trigger({"uri": "http://s/"}, delivery={"timeout": "PT1M0.5S"}),
    )
    assert spec.delivery == Delivery(retry=0, delay=0.0, timeout=60.5)


@pytest.mark.parametrize("spec", [{}, {"delivery": {}}])
def test_a_trigger_that_says_nothing_has_its_brokers_delivery(spec: Document) -> None:
    one = only_trigger(
        broker(retry=3, backoffPolicy="linear", backoffDelay="P1DT2H0.5S"),
        trigger({"uri": "http://s/"}, **spec),
    )
    assert one.delivery == Delivery(retry=3, policy="linear", delay=93600.5)


def test_a_delay_without_a_policy_is_none() -> None:
    one = only_trigger(broker(retry=3, backoffDelay="PT1S"), trigger({"uri": "http://s/"}))
    assert one.delivery == Delivery(retry=3, delay=0.0)


@pytest.mark.parametrize("uri", ["nowhere", "http://", "ftp://s/", "http://[/"])
def test_a_destination_that_cannot_be_called_is_refused(uri: str) -> None:
    (fault,) = faults(broker(), trigger({"uri": uri}))
    assert "spec.subscriber must have a ref to a Service or a uri" in fault


def test_a_trigger_waits_for_what_it_names() -> None:
    result = reconcile(trigger(ref("s")))
    assert result.triggers == ()
    assert result.problems == {
        "Trigger/ns/t": ("Broker ns/default does not exist", "Service ns/s does not exist")
    }


def test_a_subscriber_is_called_at_port_80() -> None:
    result = reconcile(broker(), service("s", port=8080), trigger(ref("s")))
    assert result.problems == {"Trigger/ns/t": ("Service ns/s has no port 80",)}


def test_a_broker_takes_events_before_its_dead_letter_sink_is_there() -> None:
    result = reconcile(broker(retry=1, deadLetterSink=ref("later")), trigger({"uri": "http://s"}))
    assert result.brokers == ("ns/default",)
    assert result.triggers == ()
    sentence = "Service ns/later does not exist"
    assert result.problems == {"Broker/ns/default": (sentence,), "Trigger/ns/t": (sentence,)}
