"""The overlay for a shared cluster renders, and what it changes fits together."""

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from closedloop.services.request_logger.settings import Settings
from tests.manifests.overlay import render
from tests.manifests.repository import MANIFESTS, objects

FOLDER = MANIFESTS / "overlays" / "shared-cluster"
RENDERED = render(FOLDER)


def named(kind: str, name: str) -> Any:
    (one,) = (o for o in RENDERED if o["kind"] == kind and o["metadata"]["name"] == name)
    return one


KUBECTL = shutil.which("kubectl")


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on PATH")
def test_kustomize_renders_the_same() -> None:
    done = subprocess.run(
        [str(KUBECTL), "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(FOLDER)],
        capture_output=True,
        check=True,
        text=True,
    )
    theirs = list(yaml.safe_load_all(done.stdout))
    by_key = lambda one: (one["kind"], one["metadata"]["name"], str(one["metadata"]))  # noqa: E731 - a sort key
    assert sorted(theirs, key=by_key) == sorted(RENDERED, key=by_key)


def test_every_object_of_both_platforms_is_in_it_but_models_and_foreign_namespaces() -> None:
    wanted = {
        one.key
        for one in objects()
        if not one.source.startswith(
            ("manifests/models/", "manifests/kind/", "manifests/policies/")
        )
        and one.kind not in ("Namespace", "Secret", "StatefulSet", "PersistentVolumeClaim")
    }
    there = {
        "/".join(x for x in (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) if x)
        for o in RENDERED
    }
    assert wanted <= there


def test_every_service_has_two_replicas_or_more_and_keeps_one_through_a_drain() -> None:
    deployments = {o["metadata"]["name"]: o for o in RENDERED if o["kind"] == "Deployment"}
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["minReplicas"]
        for one in RENDERED
        if one["kind"] == "HorizontalPodAutoscaler"
    }
    budgets = {
        one["spec"]["selector"]["matchLabels"]["app"]
        for one in RENDERED
        if one["kind"] == "PodDisruptionBudget" and one["metadata"]["namespace"] == "seldon-logs"
    }
    assert budgets == set(deployments)
    for name, one in deployments.items():
        # Said in both places, each would change what the other says.
        assert ("replicas" in one["spec"]) != (name in scaled)
        assert one["spec"].get("replicas", scaled.get(name)) >= 2


def test_the_request_logger_scales_by_what_it_asks_for_and_its_log_rolls_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scaler = named("HorizontalPodAutoscaler", "seldon-request-logger")["spec"]
    assert scaler["maxReplicas"] > scaler["minReplicas"]
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu"]
    target = named(scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"])
    (container,) = target["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "500m"
    for variable in container["env"]:
        if variable["name"] != "PORT" and "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
    settings = Settings()  # which refuses a bound that Elasticsearch would not understand
    (nodes,) = named("Elasticsearch", "elasticsearch")["spec"]["nodeSets"]
    assert settings.index_shards == nodes["count"]
    assert settings.rollover_age
    assert settings.rollover_size


def test_the_broker_is_backed_by_kafka_and_executors_post_to_it() -> None:
    broker = named("Broker", "default")
    assert broker["metadata"]["annotations"] == {"eventing.knative.dev/broker.class": "Kafka"}
    config = broker["spec"]["config"]
    assert named(config["kind"], config["name"])["metadata"]["namespace"] == config["namespace"]
    for part in ("receiver", "dispatcher"):
        budget = named("PodDisruptionBudget", f"kafka-broker-{part}")
        assert budget["metadata"]["namespace"] == config["namespace"]
    values = yaml.safe_load((FOLDER / "values-seldon-core.yaml").read_text())
    endpoint = values["executor"]["requestLogger"]["defaultEndpoint"]
    assert endpoint.endswith(f".svc.cluster.local/{broker['metadata']['namespace']}/default")


def test_elasticsearch_has_nodes_with_disks_under_the_same_service_and_password() -> None:
    one = named("Elasticsearch", "elasticsearch")
    versions = yaml.safe_load((MANIFESTS / "versions.yaml").read_text())
    assert one["spec"]["version"] == versions["elasticsearch"]["cluster"]["version"]
    (nodes,) = one["spec"]["nodeSets"]
    assert nodes["count"] >= 3
    assert nodes["volumeClaimTemplates"]
    label = {"elasticsearch.k8s.elastic.co/cluster-name": one["metadata"]["name"]}
    assert named("Service", "elasticsearch")["spec"]["selector"] == label
    secrets = {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for deployment in RENDERED
        if deployment["kind"] == "Deployment"
        for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    assert secrets == {realm["secretName"] for realm in one["spec"]["auth"]["fileRealm"]}


def test_values_files_follow_those_of_the_laptop() -> None:
    charts = [
        chart
        for part in yaml.safe_load((MANIFESTS / "versions.yaml").read_text()).values()
        for chart in part.get("cluster", {}).get("charts", ())
    ]
    parts = {path.stem.removeprefix("values-") for path in FOLDER.glob("values-*.yaml")}
    base = {path for chart in charts for path in chart.get("values", ())}
    for part in parts:
        of_a_chart = {f"istio/values-{part}.yaml", f"{part}/values.yaml"} & base
        assert of_a_chart or (MANIFESTS / part / "values.yaml").is_file(), part
