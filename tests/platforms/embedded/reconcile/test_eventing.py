from typing import Any

from closedloop.platforms.embedded.desired import BrokerSpec, TriggerSpec
from tests.platforms.embedded.reconcile.objects import Document, manifest, reconcile, service


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


def only_trigger(*documents: Document) -> TriggerSpec:
    (spec,) = reconcile(*documents).triggers
    return spec


def test_the_request_loggers_trigger() -> None:
    spec = only_trigger(
        manifest("request-logger/trigger.yaml"),
        manifest("request-logger/service.yaml"),
        manifest("knative-eventing/broker.yaml"),
    )
    base = "http://here/seldon-logs/seldon-request-logger/80"
    assert spec == TriggerSpec(
        namespace="seldon-logs",
        name="seldon-request-logger",
        broker="default",
        filters={},
        subscriber=base,
        delivery={
            "retry": 12,
            "backoffPolicy": "exponential",
            "backoffDelay": "PT0.2S",
            "deadLetterSink": {"uri": f"{base}/dead-letters"},
        },
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
    assert (spec.delivery, spec.replay) == ({}, False)


def test_a_subscriber_by_url_inside_and_outside() -> None:
    for uri, url in [
        ("http://s.ns.svc.cluster.local:81/x", "http://here/ns/s/81/x"),
        ("http://example.org/x", "http://example.org/x"),
    ]:
        assert only_trigger(broker(), trigger({"uri": uri})).subscriber == url


def test_a_triggers_delivery_replaces_the_brokers_as_a_whole() -> None:
    spec = only_trigger(
        broker(retry=3, deadLetterSink={"uri": "http://dead/"}),
        trigger({"uri": "http://s/"}, delivery={"backoffDelay": "PT1S"}),
    )
    assert spec.delivery == {"backoffDelay": "PT1S"}


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
    assert result.brokers == (BrokerSpec("ns", "default", {"retry": 1}),)
    assert result.triggers == ()
    sentence = "Service ns/later does not exist"
    assert result.problems == {"Broker/ns/default": (sentence,), "Trigger/ns/t": (sentence,)}
