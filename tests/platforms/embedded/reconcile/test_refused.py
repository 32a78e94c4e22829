"""Wrong manifests, and the sentence each is refused with."""

from collections.abc import Callable
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


LOGGER = "Deployment seldon-logs/seldon-request-logger"
AT = "spec.template.spec.containers[0]"
CONTAINER = "spec.template.spec.containers.0"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("apiVersion", "apps/v2", "apiVersion is 'apps/v2': give 'apps/v1'"),
        ("spec.selector", ..., "spec.selector is missing: add it"),
        ("spec.replicas", "2", "spec.replicas is '2': it must be a valid integer"),
        (
            "spec.replicas",
            -1,
            "spec.replicas is -1: it must be greater than or equal to 0",
        ),
        (
            "spec.strategy",
            {"type": "Recreate"},
            "spec.strategy.type is 'Recreate': give 'RollingUpdate'",
        ),
        (
            "spec.selector.matchLabels.app",
            "other",
            (
                "spec.selector.matchLabels.app is 'other':"
                " spec.template.metadata.labels must have the same"
            ),
        ),
        (
            "spec.template.spec.hostNetwork",
            True,
            "spec.template.spec.hostNetwork is not supported on one machine: remove it",
        ),
        (
            "spec.template.spec.containers",
            [],
            "spec.template.spec.containers is empty: add an entry",
        ),
        (
            f"{CONTAINER}.image",
            "nginx:1",
            (
                f"{AT} has image 'nginx:1':"
                " only closedloop/components can run in a Deployment on one machine"
            ),
        ),
        (
            f"{CONTAINER}.command",
            ["sh", "-c", "true"],
            (
                f"{AT} has image 'closedloop/components:0.1.0':"
                " closedloop/components needs a command that starts with python"
            ),
        ),
        (
            f"{CONTAINER}.env.1.value",
            8080,
            f"{AT}.env[1].value is 8080: it must be a valid string",
        ),
        (
            f"{CONTAINER}.env.0.valueFrom.fieldRef.fieldPath",
            "spec.nodeName",
            (
                f"{AT}.env[0].valueFrom.fieldRef.fieldPath is"
                " 'spec.nodeName': give 'status.podIP' or 'metadata.namespace'"
            ),
        ),
        (
            f"{CONTAINER}.env.0.value",
            "both",
            (
                f"{AT}.env[0] must have a value, or a valueFrom with exactly"
                " one of fieldRef, configMapKeyRef and secretKeyRef"
            ),
        ),
        (
            f"{CONTAINER}.readinessProbe.httpGet.port",
            "web",
            (f"{AT}.readinessProbe.httpGet.port is 'web': the container has no such port"),
        ),
        (
            f"{CONTAINER}.readinessProbe.exec",
            {"command": ["true"]},
            (f"{AT}.readinessProbe.exec is not supported on one machine: remove it"),
        ),
        (
            f"{CONTAINER}.readinessProbe.httpGet",
            ...,
            f"{AT}.readinessProbe must have either httpGet or tcpSocket",
        ),
        (
            f"{CONTAINER}.ports.0.containerPort",
            70000,
            (f"{AT}.ports[0].containerPort is 70000: a port is between 1 and 65535"),
        ),
        (
            f"{CONTAINER}.volumeMounts",
            [
                {"name": "scratch", "mountPath": "/tmp"},
                {"name": "model-outputs", "mountPath": "/etc/closedloop/model-outputs"},
            ],
            f"{AT}.volumeMounts[0].name is 'scratch': no such volume",
        ),
        (
            "metadata.annotations",
            {"seldon.io/no-engine": "true"},
            (
                'metadata.annotations["seldon.io/no-engine"] is an annotation that is not supported'
                " here: remove it"
            ),
        ),
    ],
)
def test_deployment(path: str, value: object, sentence: str) -> None:
    document = changed(manifest("request-logger/deployment.yaml"), path, value)
    assert faults(document) == (f"0.yaml: {LOGGER}: {sentence}",)


@pytest.mark.parametrize(
    ("file", "title", "path", "value", "sentence"),
    [
        (
            "request-logger/service.yaml",
            "Service seldon-logs/seldon-request-logger",
            "spec.type",
            "LoadBalancer",
            "spec.type is 'LoadBalancer': give 'ClusterIP' or 'NodePort'",
        ),
        (
            "request-logger/service.yaml",
            "Service seldon-logs/seldon-request-logger",
            "spec.ports",
            [{"name": "a", "port": 80}, {"name": "b", "port": 80}],
            "spec.ports[1].port is 80 twice: change one",
        ),
        (
            "istio/gateway.yaml",
            "Gateway istio-system/seldon-gateway",
            "spec.selector.istio",
            "ingress",
            (
                "spec.selector.istio is 'ingress': no gateway has this label, the one that there is"
                " has app=istio-ingressgateway, istio=ingressgateway"
            ),
        ),
        (
            "istio/gateway.yaml",
            "Gateway istio-system/seldon-gateway",
            "spec.servers.0.hosts",
            ["models.example"],
            "spec.servers[0].hosts[0] is 'models.example': give '*'",
        ),
        (
            "knative-eventing/broker.yaml",
            "Broker seldon-logs/default",
            "spec.delivery.backoffDelay",
            "200ms",
            "spec.delivery.backoffDelay is '200ms': a duration is ISO 8601, such as PT0.5S",
        ),
        (
            "knative-eventing/broker.yaml",
            "Broker seldon-logs/default",
            "metadata.annotations",
            {"eventing.knative.dev/broker.class": "Kafka"},
            (
                "metadata.annotations[\"eventing.knative.dev/broker.class\"] is 'Kafka':"
                " give 'MTChannelBasedBroker'"
            ),
        ),
        (
            "knative-eventing/broker.yaml",
            "Broker seldon-logs/default",
            "spec.delivery.deadLetterSink",
            {"uri": "/dead-letters"},
            (
                "spec.delivery.deadLetterSink must have a ref to a Service or a uri that starts"
                " with http://"
            ),
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "spec.filters",
            [],
            "spec.filters is not supported on one machine: remove it",
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "spec.filter",
            {"attributes": {"Ce-Type": "x"}},
            (
                "spec.filter.attributes.Ce-Type is no attribute: names are lower-case letters and"
                " digits"
            ),
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "spec.subscriber.ref.kind",
            "Deployment",
            "spec.subscriber.ref.kind is 'Deployment': give 'Service'",
        ),
        (
            "request-logger/trigger.yaml",
            "Trigger seldon-logs/seldon-request-logger",
            "metadata.annotations",
            {"closedloop.dev/replay": "yes"},
            "metadata.annotations[\"closedloop.dev/replay\"] is 'yes': write true or false",
        ),
        (
            "monitoring/podmonitor-seldon.yaml",
            "PodMonitor monitoring/seldon-models",
            "spec.podMetricsEndpoints.0.interval",
            "1 s",
            (
                "spec.podMetricsEndpoints[0].interval is '1 s':"
                " a duration of Prometheus is such as 30s or 1m30s"
            ),
        ),
        (
            "monitoring/rules.yaml",
            "PrometheusRule monitoring/closedloop",
            "spec.groups.0.rules.0",
            {"expr": "up"},
            "spec.groups[0].rules[0] must have either record or alert",
        ),
    ],
)
def test_other_kinds(file: str, title: str, path: str, value: object, sentence: str) -> None:
    assert faults(changed(manifest(file), path, value)) == (f"0.yaml: {title}: {sentence}",)


WEBHOOK: list[tuple[Callable[[], Document], str]] = [
    (
        lambda: seldon_deployment(predictor("a", traffic=50), predictor("b", traffic=40)),
        "spec.predictors have traffic 90: Traffic must sum to 100 for multiple predictors",
    ),
    (
        lambda: seldon_deployment(predictor(traffic=50)),
        "spec.predictors[0].traffic is 50: Traffic must sum be 100 for a single predictor when set",
    ),
    (
        lambda: seldon_deployment(predictor(shadow=True)),
        "spec.predictors[0].shadow is true: Shadow can not exist as only predictor",
    ),
    (
        lambda: seldon_deployment(
            predictor(), predictor("b", shadow=True), predictor("c", shadow=True)
        ),
        "spec.predictors[2].shadow is true: Multiple shadows are not allowed",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "logger": {}})),
        "spec.predictors[0].graph.logger.mode is missing: add it",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "logger": {"mode": ""}})),
        ("spec.predictors[0].graph.logger.mode is '': give 'all', 'request' or 'response'"),
    ),
    (
        lambda: seldon_deployment(
            predictor(
                graph={"name": "classifier", "implementation": "SKLEARN_SERVER"},
                componentSpecs=[],
            )
        ),
        (
            "spec.predictors[0].graph.modelUri is missing:"
            " Predictive unit modelUri required when using standalone servers"
        ),
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "other"})),
        "spec.predictors[0].graph.name is 'other': Can't find container for Predictive Unit",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "type": "ROUTER"})),
        "spec.predictors[0].graph.type is 'ROUTER': give 'MODEL'",
    ),
    (
        lambda: seldon_deployment(
            predictor(graph={"name": "classifier", "children": [{"name": "x"}]})
        ),
        "spec.predictors[0].graph.children is not supported on one machine: remove it",
    ),
    (
        lambda: seldon_deployment(predictor(graph={"name": "classifier", "modelUri": "gs://x"})),
        (
            "spec.predictors[0].graph.modelUri is supported with implementation SKLEARN_SERVER"
            " only: an own image brings its model"
        ),
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
        (
            "spec.predictors[0].graph.modelUri is 's3://mine': no model was trained here for it"
            " (there is one for: file:///usr/local/share/closedloop/models,"
            " file:///usr/local/share/closedloop/models/diabetes,"
            " file:///usr/local/share/closedloop/models/breast-cancer)"
        ),
    ),
    (
        lambda: seldon_deployment(_sklearn({"image": "seldonio/sklearnserver:1.17.1"})),
        (
            "spec.predictors[0].componentSpecs[0].spec.containers say how SKLEARN_SERVER runs:"
            " only closedloop/iris with the command python -m closedloop.models.serve"
            " closedloop.models.sklearn_server.SKLearnServer is supported, or none of them"
        ),
    ),
    (
        lambda: seldon_deployment(_sklearn({}, {"name": "warm-up"})),
        (
            "spec.predictors[0].componentSpecs[0].spec.initContainers[0].name is 'warm-up':"
            " only classifier-model-initializer of a prepackaged server is supported"
        ),
    ),
    (
        lambda: seldon_deployment(
            predictor(
                componentSpecs=[
                    {"spec": {"containers": [{"name": "classifier", "image": "me/own:1"}]}}
                ]
            )
        ),
        (
            "spec.predictors[0].componentSpecs[0].spec.containers[0].image is 'me/own:1':"
            " only closedloop/iris can serve a model on one machine"
        ),
    ),
    (
        lambda: seldon_deployment(
            predictor(svcOrchSpec={"env": [{"name": "LOGGER_KAFKA_BROKER", "value": "x"}]})
        ),
        (
            "spec.predictors[0].svcOrchSpec.env[0].name is 'LOGGER_KAFKA_BROKER': only"
            " LOG_LEVEL, REQUEST_LOGGER_DEFAULT_ENDPOINT are supported here"
        ),
    ),
    (
        lambda: seldon_deployment(predictor(), annotations={"seldon.io/rest-timeout": "soon"}),
        "spec.annotations[\"seldon.io/rest-timeout\"] is 'soon': must be a number",
    ),
    (
        lambda: seldon_deployment(predictor(), protocol="v2"),
        "spec.protocol is 'v2': give 'seldon'",
    ),
    (
        lambda: seldon_deployment(predictor(annotations={"seldon.io/no-engine": "true"})),
        (
            'spec.predictors[0].annotations["seldon.io/no-engine"] is an annotation that is not'
            " supported here: remove it"
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
    assert faults(document()) == (f"0.yaml: SeldonDeployment ns/iris: {sentence}",)


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
