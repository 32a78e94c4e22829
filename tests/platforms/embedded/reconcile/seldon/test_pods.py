"""What Seldon's operator makes of a SeldonDeployment, name by name."""

import json
from typing import Any

import pytest

from closedloop.platforms.embedded.desired import Desired, Pod, Process
from tests.platforms.embedded.reconcile.objects import (
    config_map,
    manifest,
    predictor,
    reconcile,
    seldon_deployment,
)


def pod_of(result: Desired, name: str) -> Pod:
    return next(pod for pod in result.pods if pod.labels["version"] == name)


def containers(pod: Pod) -> tuple[Process, Process]:
    model, executor = pod.processes
    assert executor.name == "seldon-container-engine"
    return model, executor


def test_the_pod_of_a_predictor() -> None:
    (pod,) = reconcile(seldon_deployment(predictor())).pods
    assert pod.workload == "ns/iris-default-0-classifier"
    assert pod.owner == "SeldonDeployment/ns/iris"
    assert pod.labels == {
        "app": "iris-default-0-classifier",
        "fluentd": "true",
        "seldon-deployment-id": "iris",
        "seldon-app": "iris-default",
        "seldon-app-svc-classifier": "iris-default-classifier",
        "version": "default",
        "seldon.io/model": "true",
        "app.kubernetes.io/managed-by": "seldon-core",
    }
    model, executor = containers(pod)
    assert (model.name, model.ports) == ("classifier", {"http": 9000, "metrics": 6000})
    assert executor.ports == {"http": 8000, "metrics": 8000}
    assert {process.stop_grace for process in pod.processes} == {20.0}


def test_the_environment_of_an_own_image() -> None:
    graph = {
        "name": "classifier",
        "parameters": [{"name": "model_name", "type": "STRING", "value": "iris.joblib"}],
    }
    (pod,) = reconcile(seldon_deployment(predictor(graph=graph))).pods
    model, _ = containers(pod)
    assert model.argv == (
        "model-python",
        "-m",
        "closedloop.models.serve",
        "closedloop.models.iris_classifier.IrisClassifier",
    )
    assert model.env == {
        "PREDICTIVE_UNIT_SERVICE_PORT": "9000",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9500",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "PREDICTIVE_UNIT_ID": "classifier",
        "PREDICTIVE_UNIT_IMAGE": "closedloop/iris:0.1.0",
        "PREDICTIVE_UNIT_PARAMETERS": (
            '[{"name":"model_name","value":"iris.joblib","type":"STRING"}]'
        ),
        "PREDICTOR_ID": "default",
        "PREDICTOR_LABELS": '{"version":"default"}',
        "SELDON_DEPLOYMENT_ID": "iris",
        "SELDON_EXECUTOR_ENABLED": "true",
        "HOST": "{pod_ip}",
        "GRPC_WORKERS": "0",
    }


def test_the_prepackaged_server_gets_a_model_trained_here() -> None:
    document = manifest("models/sklearn.yaml")
    graph = document["spec"]["predictors"][0]["graph"]
    graph["parameters"] = [{"name": "method", "value": "predict", "type": "STRING"}]
    (pod,) = reconcile(document).pods
    assert pod.workload == "seldon/sklearn-default-0-classifier"
    model, _ = containers(pod)
    assert model.argv[-1] == "closedloop.models.sklearn_server.SKLearnServer"
    assert model.env["PREDICTIVE_UNIT_IMAGE"] == "closedloop/iris:0.1.0"
    assert json.loads(model.env["PREDICTIVE_UNIT_PARAMETERS"]) == [
        {"name": "method", "value": "predict", "type": "STRING"},
        {"name": "model_uri", "value": "/models/iris", "type": "STRING"},
    ]


def test_the_environment_of_the_executor() -> None:
    graph = {"name": "classifier", "logger": {"mode": "all"}}
    (pod,) = reconcile(
        seldon_deployment(
            predictor(graph=graph, annotations={"version": "v1"}),
            annotations={"seldon.io/rest-timeout": "500"},
        )
    ).pods
    _, executor = containers(pod)
    env = dict(executor.env)
    assert executor.argv == ("python", "-m", "closedloop.platforms.embedded.executor")
    assert env == {
        "HOST": "{pod_ip}",
        "PORT": "8000",
        "DEPLOYMENT_NAME": "iris",
        "DEPLOYMENT_NAMESPACE": "ns",
        "PREDICTOR_NAME": "default",
        "PREDICTOR_VERSION": "v1",
        "MODEL_NAME": "classifier",
        "MODEL_IMAGE": "closedloop/iris:0.1.0",
        "MODEL_URL": "http://{pod_ip}:9000",
        "LOGGER_MODE": "all",
        "LOGGER_URL": "",
        "REST_TIMEOUT_MS": "500",
        "QUEUE_SIZE": "10000",
        "WRITE_TIMEOUT_MS": "2000",
        "REQUEST_LOGGER_DEFAULT_ENDPOINT": (
            "http://here/knative-eventing/broker-ingress/80/seldon-logs/default"
        ),
    }


def test_the_executor_can_read_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from closedloop.platforms.embedded.executor.settings import from_environment

    (pod,) = reconcile(manifest("models/sklearn.yaml")).pods
    _, executor = containers(pod)
    for name, value in executor.env.items():
        monkeypatch.setenv(name, value.replace("{pod_ip}", "127.1.2.3"))
    settings = from_environment()
    assert settings.model_url == "http://127.1.2.3:9000"
    assert settings.image == ("closedloop/iris", "0.1.0")
    assert settings.sink == "http://here/knative-eventing/broker-ingress/80/seldon-logs/default"


def test_a_loggers_own_url_is_rewritten() -> None:
    logger = {"mode": "request", "url": "http://s.ns.svc.cluster.local/x"}
    (pod,) = reconcile(
        seldon_deployment(predictor(graph={"name": "classifier", "logger": logger}))
    ).pods
    _, executor = containers(pod)
    assert executor.env["LOGGER_URL"] == "http://here/ns/s/80/x"


def test_ports_go_by_container_name_and_metrics_ports_count_up() -> None:
    result = reconcile(seldon_deployment(predictor(), predictor("shadow", shadow=True)))
    ports = {name: containers(pod_of(result, name))[0].ports for name in ("default", "shadow")}
    assert ports == {
        "default": {"http": 9000, "metrics": 6000},
        "shadow": {"http": 9000, "metrics": 6001},
    }


def test_another_container_name_gets_the_next_port() -> None:
    other = predictor(
        "b",
        shadow=True,
        graph={"name": "other"},
        componentSpecs=[
            {"spec": {"containers": [{"name": "other", "image": "closedloop/iris:0.1.0"}]}}
        ],
    )
    result = reconcile(seldon_deployment(predictor(), other))
    model, _ = containers(pod_of(result, "b"))
    assert model.ports == {"http": 9001, "metrics": 6001}
    assert model.env["PREDICTIVE_UNIT_GRPC_SERVICE_PORT"] == "9501"


def test_names_that_are_too_long_become_digests() -> None:
    (pod,) = reconcile(seldon_deployment(predictor(), name="n" * 60)).pods
    name = pod.workload.removeprefix("ns/")
    assert name.startswith("seldon-")
    assert len(name) == len("seldon-") + 32
    assert pod.labels["seldon-app"] != name


def test_a_shadow_is_labelled() -> None:
    result = reconcile(seldon_deployment(predictor(), predictor("shadow", shadow=True)))
    assert pod_of(result, "shadow").labels["seldon.io/shadow"] == "true"
    assert "seldon.io/shadow" not in pod_of(result, "default").labels


@pytest.mark.parametrize(
    ("fields", "spec", "replicas"),
    [({}, {}, 1), ({}, {"replicas": 3}, 3), ({"replicas": 2}, {"replicas": 3}, 2)],
)
def test_replicas_come_from_the_most_particular_place(
    fields: dict[str, Any], spec: dict[str, Any], replicas: int
) -> None:
    assert len(reconcile(seldon_deployment(predictor(**fields), **spec)).pods) == replicas


def test_the_manifests_environment_wins_where_the_operator_lets_it() -> None:
    env = [
        {"name": "PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "value": "1"},
        {"name": "PREDICTOR_ID", "value": "mine"},
        {"name": "GRPC_WORKERS", "value": "4"},
        {"name": "OWN", "value": "yes"},
    ]
    document = seldon_deployment(predictor())
    container = document["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    container["env"] = env
    model, _ = containers(reconcile(document).pods[0])
    got = [model.env[variable["name"]] for variable in env]
    assert got == ["1", "default", "0", "yes"]


def test_a_predictor_waits_for_the_config_map_it_needs() -> None:
    document = seldon_deployment(predictor())
    container = document["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": "later"}}]
    waiting = reconcile(document)
    assert waiting.pods == ()
    assert "ConfigMap ns/later does not exist" in waiting.problems["SeldonDeployment/ns/iris"]
    assert len(reconcile(document, config_map("later", A="1")).pods) == 1


def revisions(document: dict[str, Any]) -> dict[str, str]:
    return {pod.labels["version"]: pod.revision for pod in reconcile(document).pods}


def two(first: dict[str, Any], second: dict[str, Any], **spec: Any) -> dict[str, str]:
    return revisions(seldon_deployment(predictor("a", **first), predictor("b", **second), **spec))


def test_traffic_replicas_and_another_predictor_restart_nothing() -> None:
    base = two({"traffic": 50}, {"traffic": 50})
    assert two({"traffic": 10}, {"traffic": 90, "replicas": 2}) == base
    assert revisions(seldon_deployment(predictor("a")))["a"] == base["a"]


def test_the_first_predictor_goes_on_when_it_gets_a_shadow() -> None:
    alone = revisions(seldon_deployment(predictor("a")))
    assert two({}, {"shadow": True})["a"] == alone["a"]


def test_becoming_a_shadow_restarts_as_it_does_in_a_cluster() -> None:
    """The operator puts the label `seldon.io/shadow` into the pod template."""
    base = two({}, {"shadow": True})
    swapped = two({"shadow": True}, {})
    assert base["a"] != swapped["a"]
    assert base["b"] != swapped["b"]


def test_another_share_for_the_mirror_restarts_nothing() -> None:
    assert two({}, {"shadow": True}) == two({}, {"shadow": True, "traffic": 30})


def test_parameters_restart_their_own_predictor_only() -> None:
    graph = {
        "name": "classifier",
        "parameters": [{"name": "a", "value": "1", "type": "INT"}],
    }
    base = two({"traffic": 50}, {"traffic": 50})
    changed = two({"traffic": 50}, {"traffic": 50, "graph": graph})
    assert (changed["a"] == base["a"], changed["b"] == base["b"]) == (True, False)
