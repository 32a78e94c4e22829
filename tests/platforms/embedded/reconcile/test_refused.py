"""Wrong manifests, and the object, the place and the kind of fault that each is refused for."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.platforms.embedded.reconcile.objects import (
    Document,
    deployment,
    faults,
    manifest,
    predictor,
    seldon_deployment,
)


def changed(document: Document, path: str, value: Any) -> Document:
    """The document with the value at a dotted path; `...` removes what is there."""
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place: Any = document
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def refused(sentences: Sequence[str], *beginnings: str) -> None:
    """Assert that there is one sentence for each, which begins so and goes on."""
    assert len(sentences) == len(beginnings), sentences
    for sentence, beginning in zip(sentences, beginnings, strict=True):
        assert re.match(rf"{re.escape(beginning)}(:? )\S", sentence), sentence


LOGGER = "Deployment seldon-logs/seldon-request-logger"
AT = "spec.template.spec.containers[0]"
CONTAINER = "spec.template.spec.containers.0"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("apiVersion", "apps/v2", "apiVersion is 'apps/v2'"),
        ("spec.selector", ..., "spec.selector is missing"),
        ("spec.replicas", "2", "spec.replicas is '2'"),
        ("spec.replicas", -1, "spec.replicas is -1"),
        ("spec.strategy", {"type": "Recreate"}, "spec.strategy.type is 'Recreate'"),
        ("spec.selector.matchLabels.app", "other", "spec.selector.matchLabels.app is 'other'"),
        (
            "spec.template.spec.hostNetwork",
            True,
            "spec.template.spec.hostNetwork is not supported on one machine",
        ),
        ("spec.template.spec.containers", [], "spec.template.spec.containers is empty"),
        (f"{CONTAINER}.image", "nginx:1", f"{AT} has image 'nginx:1'"),
        (
            f"{CONTAINER}.command",
            ["sh", "-c", "true"],
            f"{AT} has image 'closedloop/components:0.1.0'",
        ),
        (f"{CONTAINER}.env.1.value", 8080, f"{AT}.env[1].value is 8080"),
        (
            f"{CONTAINER}.env.0.valueFrom.fieldRef.fieldPath",
            "spec.nodeName",
            f"{AT}.env[0].valueFrom.fieldRef.fieldPath is 'spec.nodeName'",
        ),
        (f"{CONTAINER}.env.0.value", "both", f"{AT}.env[0] must have"),
        (
            f"{CONTAINER}.readinessProbe.httpGet.port",
            "web",
            f"{AT}.readinessProbe.httpGet.port is 'web'",
        ),
        (
            f"{CONTAINER}.readinessProbe.exec",
            {"command": ["true"]},
            f"{AT}.readinessProbe.exec is not supported on one machine",
        ),
        (f"{CONTAINER}.readinessProbe.httpGet", ..., f"{AT}.readinessProbe must have"),
        (f"{CONTAINER}.ports.0.containerPort", 70000, f"{AT}.ports[0].containerPort is 70000"),
        (
            f"{CONTAINER}.volumeMounts",
            [
                {"name": "scratch", "mountPath": "/tmp"},
                {"name": "model-outputs", "mountPath": "/etc/closedloop/model-outputs"},
            ],
            f"{AT}.volumeMounts[0].name is 'scratch'",
        ),
        (
            "metadata.annotations",
            {"seldon.io/no-engine": "true"},
            'metadata.annotations["seldon.io/no-engine"] is an annotation that is not supported',
        ),
    ],
)
def test_deployment(path: str, value: object, sentence: str) -> None:
    document = changed(manifest("request-logger/deployment.yaml"), path, value)
    refused(faults(document), f"0.yaml: {LOGGER}: {sentence}")


@pytest.mark.parametrize(
    ("file", "title", "path", "value", "sentence"),
    [
        (
            "request-logger/service.yaml",
            "Service seldon-logs/seldon-request-logger",
            "spec.type",
            "LoadBalancer",
            "spec.type is 'LoadBalancer'",
        ),
        (
            "request-logger/service.yaml",
            "Service seldon-logs/seldon-request-logger",
            "spec.ports",
            [{"name": "a", "port": 80}, {"name": "b", "port": 80}],
            "spec.ports[1].port is 80 twice",
        ),
        (
            "istio/gateway.yaml",
            "Gateway istio-system/seldon-gateway",
            "spec.selector.istio",
            "ingress",
            "spec.selector.istio is 'ingress'",
        ),
        (
            "istio/gateway.yaml",
            "Gateway istio-system/seldon-gateway",
            "spec.servers.0.hosts",
            ["models.example"],
            "spec.servers[0].hosts[0] is 'models.example'",
        ),
        (
            "knative-eventing/broker.yaml",
            "Broker seldon-logs/default",
            "spec.delivery.backoffDelay",
            "200ms",
            "spec.delivery.backoffDelay is '200ms'",
        ),
        (
            "knative-eventing/broker.yaml",
            "Broker seldon-logs/default",
            "metadata.annotations",
            {"eventing.knative.dev/broker.class": "Kafka"},
            ("metadata.annotations[\"eventing.knative.dev/broker.class\"] is 'Kafka'"),
        ),
        (
            "knative-eventing/broker.yaml",
            "Broker seldon-logs/default",
            "spec.delivery.deadLetterSink",
            {"uri": "/dead-letters"},
            "spec.delivery.deadLetterSink must have",
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "spec.filters",
            [],
            "spec.filters is not supported on one machine",
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "spec.filter",
            {"attributes": {"Ce-Type": "x"}},
            "spec.filter.attributes.Ce-Type is no attribute",
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "spec.subscriber.ref.kind",
            "Deployment",
            "spec.subscriber.ref.kind is 'Deployment'",
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "metadata.annotations",
            {"closedloop.dev/replay": "yes"},
            "metadata.annotations[\"closedloop.dev/replay\"] is 'yes'",
        ),
        (
            "monitoring/podmonitor-seldon.yaml",
            "PodMonitor monitoring/seldon-models",
            "spec.podMetricsEndpoints.0.interval",
            "1 s",
            "spec.podMetricsEndpoints[0].interval is '1 s'",
        ),
        (
            "monitoring/rules.yaml",
            "PrometheusRule monitoring/closedloop",
            "spec.groups.0.rules.0",
            {"expr": "up"},
            "spec.groups[0].rules[0] must have",
        ),
    ],
)
def test_other_kinds(file: str, title: str, path: str, value: object, sentence: str) -> None:
    refused(faults(changed(manifest(file), path, value)), f"0.yaml: {title}: {sentence}")


WEBHOOK: list[tuple[Callable[[], Document], str]] = [
    (
        lambda: seldon_deployment(predictor("a", traffic=50), predictor("b", traffic=40)),
        "spec.predictors have traffic 90",
    ),
    (lambda: seldon_deployment(predictor(traffic=50)), "spec.predictors[0].traffic is 50"),
    (lambda: seldon_deployment(predictor(shadow=True)), "spec.predictors[0].shadow is true"),
    (
        lambda: seldon_deployment(
            predictor(), predictor("b", shadow=True), predictor("c", shadow=True)
        ),
        "spec.predictors[2].shadow is true",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "logger": {}})),
        "spec.predictors[0].graph.logger.mode is missing",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "logger": {"mode": ""}})),
        "spec.predictors[0].graph.logger.mode is ''",
    ),
    (
        lambda: seldon_deployment(
            predictor(
                graph={"name": "classifier", "implementation": "SKLEARN_SERVER"}, componentSpecs=[]
            )
        ),
        "spec.predictors[0].graph.modelUri is missing",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "other"})),
        "spec.predictors[0].graph.name is 'other'",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "type": "ROUTER"})),
        "spec.predictors[0].graph.type is 'ROUTER'",
    ),
    (
        lambda: seldon_deployment(
            predictor(graph={"name": "classifier", "children": [{"name": "x"}]})
        ),
        "spec.predictors[0].graph.children is not supported on one machine",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "modelUri": "gs://x"})),
        "spec.predictors[0].graph.modelUri is supported with",
    ),
    (
        lambda: seldon_deployment(
            predictor(
                graph={
                    "name": "classifier",
                    "implementation": "SKLEARN_SERVER",
                    "modelUri": "s3://mine",
                },
                componentSpecs=[],
            )
        ),
        "spec.predictors[0].graph.modelUri is 's3://mine'",
    ),
    (
        lambda: seldon_deployment(_sklearn({"image": "seldonio/sklearnserver:1.17.1"})),
        "spec.predictors[0].componentSpecs[0].spec.containers say how",
    ),
    (
        lambda: seldon_deployment(_sklearn({}, {"name": "warm-up"})),
        "spec.predictors[0].componentSpecs[0].spec.initContainers[0].name is 'warm-up'",
    ),
    (
        lambda: seldon_deployment(
            predictor(
                componentSpecs=[
                    {"spec": {"containers": [{"name": "classifier", "image": "me/own:1"}]}}
                ]
            )
        ),
        "spec.predictors[0].componentSpecs[0].spec.containers[0].image is 'me/own:1'",
    ),
    (
        lambda: seldon_deployment(
            predictor(svcOrchSpec={"env": [{"name": "LOGGER_KAFKA_BROKER", "value": "x"}]})
        ),
        "spec.predictors[0].svcOrchSpec.env[0].name is 'LOGGER_KAFKA_BROKER'",
    ),
    (
        lambda: seldon_deployment(predictor(), annotations={"seldon.io/rest-timeout": "soon"}),
        "spec.annotations[\"seldon.io/rest-timeout\"] is 'soon'",
    ),
    (lambda: seldon_deployment(predictor(), protocol="v2"), "spec.protocol is 'v2'"),
    (
        lambda: seldon_deployment(predictor(annotations={"seldon.io/no-engine": "true"})),
        (
            'spec.predictors[0].annotations["seldon.io/no-engine"]'
            " is an annotation that is not supported"
        ),
    ),
]


def _sklearn(container: dict[str, object], *initializers: Document) -> Document:
    """A predictor with the prepackaged server, and what a manifest says of its container."""
    return predictor(
        graph={"name": "classifier", "implementation": "SKLEARN_SERVER", "modelUri": "gs://x"},
        componentSpecs=[
            {
                "spec": {
                    "containers": [{"name": "classifier", **container}],
                    "initContainers": list(initializers),
                }
            }
        ],
    )


@pytest.mark.parametrize(("document", "sentence"), WEBHOOK, ids=[text for _, text in WEBHOOK])
def test_seldon_deployment(document: Callable[[], Document], sentence: str) -> None:
    refused(faults(document()), f"0.yaml: SeldonDeployment ns/iris: {sentence}")


def test_duplicate_predictors_are_named_both() -> None:
    assert faults(seldon_deployment(predictor(traffic=50), predictor(traffic=50))) == tuple(
        f"0.yaml: SeldonDeployment ns/iris: spec.predictors[{index}].name is 'default':"
        " Duplicate predictor name"
        for index in (0, 1)
    )


def test_unknown_kinds() -> None:
    document = {"apiVersion": "v1", "kind": "Servce", "metadata": {"name": "x"}}
    assert faults(document) == (
        (
            "0.yaml: Servce default/x: kind is 'Servce', which one machine does not support:"
            " did you mean Service?"
        ),
    )
    (sentence,) = faults(document | {"kind": "Ingress9"})
    assert "it knows Namespace, ConfigMap, Secret" in sentence


def test_everything_wrong_is_reported_together() -> None:
    first = changed(deployment(), "spec.paused", value=True)
    first["metadata"]["labels"] = {"a.b/c": 1}
    second = seldon_deployment(predictor(traffic=50))
    assert faults(first, second) == (
        '0.yaml: Deployment ns/app: metadata.labels["a.b/c"] is 1: it must be a valid string',
        "0.yaml: Deployment ns/app: spec.paused is not supported on one machine: remove it",
        (
            "1.yaml: SeldonDeployment ns/iris: spec.predictors[0].traffic is 50:"
            " Traffic must sum be 100 for a single predictor when set"
        ),
    )


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("hunter2!", "is not text in base64: encode it, or use stringData"),
        ("é", "is not text in base64: encode it, or use stringData"),
        (1234567, "is of type int: it must be a valid string"),
    ],
)
def test_a_secret_is_not_shown(value: object, sentence: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "ns"},
        "data": {"password": value},
    }
    assert faults(document) == (f"0.yaml: Secret ns/s: data.password {sentence}",)


def test_two_component_specs_are_one_too_many() -> None:
    document = seldon_deployment(predictor())
    (first,) = document["spec"]["predictors"]
    first["componentSpecs"] *= 2
    assert faults(document) == (
        (
            "0.yaml: SeldonDeployment ns/iris: spec.predictors[0].componentSpecs has 2 entries:"
            " give at most 1"
        ),
    )
