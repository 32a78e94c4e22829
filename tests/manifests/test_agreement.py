"""What one manifest says of another is true: names, ports, labels, keys, images."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from closedloop.loop import events
from closedloop.loop.keys import Predictor
from closedloop.loop.output import Outputs, read_output
from closedloop.platforms.cluster.applying import GENERATE
from closedloop.platforms.cluster.images import chart_images
from closedloop.platforms.cluster.ports import host_ports, published
from closedloop.platforms.embedded.broker.delivery import backoff
from closedloop.platforms.parts import PARTS
from closedloop.services.kit.declarations import parse_outputs
from tests.manifests.repository import MANIFESTS, Document, objects, of, on_both_platforms
from tests.platforms.embedded.reconcile.objects import reconcile

# Made by charts and upstream's manifests (versions.yaml), and named by ours.
UPSTREAM_SERVICES = {
    "istio-system/istio-ingressgateway",
    "knative-eventing/broker-ingress",
    "monitoring/monitoring-grafana",
    "monitoring/monitoring-kube-prometheus-alertmanager",
    "monitoring/monitoring-kube-prometheus-prometheus",
}
# What the operator names the metrics ports of both containers of a model's pod.
MODEL_PORTS = {"metrics", "http", "grpc"}

WORKLOADS = ("Deployment", "StatefulSet")


def values(path: str) -> Any:
    return yaml.safe_load((MANIFESTS / path).read_text())


def pods() -> Iterator[tuple[str, Document]]:
    """Namespace and pod template of each workload of ours."""
    for one, document in of(*WORKLOADS):
        yield one.namespace, document["spec"]["template"]


def ports_of(template: Document) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in template["spec"]["containers"]
        for port in container.get("ports", ())
    }


def selected(namespace: str, selector: Document) -> list[Document]:
    """Our pods that a Service, NetworkPolicy or PodMonitor chooses in a namespace."""
    labels = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", ())
    return [
        template
        for where, template in pods()
        if where == namespace
        and labels.items() <= template["metadata"]["labels"].items()
        and all(template["metadata"]["labels"].get(e["key"]) in e["values"] for e in expressions)
    ]


def services() -> dict[str, Document]:
    return {f"{one.namespace}/{one.name}": document for one, document in of("Service")}


def test_services_lead_to_ports_that_their_pods_have() -> None:
    for one, document in of("Service"):
        if one.namespace != "seldon-logs":
            continue
        found = selected(one.namespace, {"matchLabels": document["spec"]["selector"]})
        assert found, one.source
        for port in document["spec"]["ports"]:
            for template in found:
                known = ports_of(template)
                assert port["targetPort"] in {*known, *known.values()}, one.source


def test_policies_open_ports_of_containers_and_not_of_services() -> None:
    for one, document in of("NetworkPolicy"):
        chosen = selected(one.namespace, document["spec"]["podSelector"])
        for rule in document["spec"].get("ingress", ()):
            wanted = {port["port"] for port in rule.get("ports", ())}
            if one.namespace == "seldon-logs":
                assert wanted <= {p for t in chosen for p in ports_of(t).values()}, one.source
        for rule in document["spec"].get("egress", ()):
            for peer in rule.get("to", ()):
                if set(peer) != {"podSelector"}:
                    continue
                reached = selected(one.namespace, peer["podSelector"])
                assert reached, one.source
                wanted = {port["port"] for port in rule["ports"]}
                assert wanted <= {p for t in reached for p in ports_of(t).values()}, one.source


def test_whom_a_component_calls_lets_it_in() -> None:
    """A service of ours may reach Elasticsearch on both sides of the connection."""
    (policy,) = (d for one, d in of("NetworkPolicy") if one.name == "elasticsearch")
    (allowed,) = policy["spec"]["ingress"][0]["from"]
    inside = selected("seldon-logs", allowed["podSelector"])
    urls = [
        template
        for _, template in pods()
        for variable in template["spec"]["containers"][0]["env"]
        if variable["name"] == "ELASTICSEARCH_URL"
    ]
    assert inside == urls
    assert urls


def test_node_ports_are_those_that_kind_maps_and_each_stands_for_a_service() -> None:
    table = published(MANIFESTS)
    assert sorted(one.node_port for one in table.values()) == sorted(host_ports(MANIFESTS))
    assert set(table) <= set(services()) | UPSTREAM_SERVICES
    assert len({one.host_port for one in table.values()}) == len(table)
    assert all(30000 <= one.node_port <= 32767 for one in table.values())


def test_everything_is_published_on_loopback_only() -> None:
    config = values("kind/values-cluster.yaml")
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"
    mappings = [m for node in config["nodes"] for m in node["extraPortMappings"]]
    assert {m["listenAddress"] for m in mappings} == {"127.0.0.1"}
    outside = [
        one.source for one, d in of("Service") if d["spec"].get("type", "ClusterIP") != "ClusterIP"
    ]
    assert all(source.startswith("manifests/kind/") for source in outside)
    assert values("istio/values-gateway.yaml")["service"]["type"] == "ClusterIP"


def test_kinds_own_policy_excludes_the_network_of_its_pods() -> None:
    subnet = values("kind/values-cluster.yaml")["networking"]["podSubnet"]
    policies = [d for one, d in of("NetworkPolicy") if one.source.startswith("manifests/kind/")]
    for policy in policies:
        (block,) = policy["spec"]["ingress"][0]["from"]
        assert block["ipBlock"]["except"] == [subnet]
    assert {each["metadata"]["namespace"] for each in policies} == {
        "knative-eventing",
        "monitoring",
        "seldon-logs",
    }


def test_triggers_filter_by_what_executors_send() -> None:
    predictors = {
        (one.name, predictor["name"])
        for one, document in of("SeldonDeployment")
        for predictor in document["spec"]["predictors"]
    }
    brokers = {(one.namespace, one.name) for one, _ in of("Broker")}
    for one, document in of("Trigger"):
        spec = document["spec"]
        assert (one.namespace, spec["broker"]) in brokers
        wanted = spec.get("filter", {}).get("attributes", {})
        assert set(wanted) <= {"type", "inferenceservicename", "endpoint", "namespace", "modelid"}
        if not wanted:
            continue
        assert wanted["type"] in list(events.SECTIONS)
        assert any(
            wanted["inferenceservicename"] == deployment
            and wanted.get("endpoint", predictor) == predictor
            for deployment, predictor in predictors
        ), one.source


def test_references_to_services_are_to_services_that_there_are() -> None:
    for one, document in of("Trigger", "Broker"):
        spec = document["spec"]
        sinks = [spec.get("subscriber"), spec.get("delivery", {}).get("deadLetterSink")]
        for ref in (sink["ref"] for sink in sinks if sink):
            assert f"{ref.get('namespace', one.namespace)}/{ref['name']}" in services(), one.source


def test_the_broker_tries_for_longer_than_elasticsearch_is_away() -> None:
    kinds = ("Broker", "Service", "Trigger")
    events = [one for one in on_both_platforms() if one.kind in kinds]
    triggers = reconcile(*(dict(one.document) for one in events)).triggers
    assert len(triggers) == sum(one.kind == "Trigger" for one in events) > 1
    for delivery in (trigger.delivery for trigger in triggers):
        assert sum(backoff(delivery, retry) for retry in range(delivery.retry)) > 600


def in_cluster_urls(data: object) -> Iterator[str]:
    if isinstance(data, Mapping):
        for value in data.values():
            yield from in_cluster_urls(value)
    elif isinstance(data, list):
        for value in data:
            yield from in_cluster_urls(value)
    elif isinstance(data, str):
        yield from re.findall(r"http://[\w.-]+\.svc\.cluster\.local[^\s\"']*", data)


def test_urls_name_services_and_ports_that_there_are() -> None:
    said = [*(document for _, document in of("Deployment"))]
    said += [values("seldon-core/values.yaml"), values("monitoring/values.yaml")]
    urls = list(in_cluster_urls(said))
    assert len(urls) >= 5
    for url in urls:
        match = re.match(r"http://([\w-]+)\.([\w-]+)\.svc\.cluster\.local(?::(\d+))?", url)
        assert match is not None
        name, namespace, port = match.groups()
        key = f"{namespace}/{name}"
        assert key in set(services()) | UPSTREAM_SERVICES, url
        if key in services():
            ports = {p["port"] for p in services()[key]["spec"]["ports"]}
            assert int(port or 80) in ports, url


def test_the_operator_knows_the_gateway_and_the_broker_by_their_names() -> None:
    seldon = values("seldon-core/values.yaml")
    ((gateway, document),) = of("Gateway")
    ((broker, _),) = of("Broker")
    assert seldon["istio"]["gateway"] == f"{gateway.namespace}/{gateway.name}"
    endpoint = seldon["executor"]["requestLogger"]["defaultEndpoint"]
    assert endpoint.endswith(f"/{broker.namespace}/{broker.name}")
    charts = values("versions.yaml")["istio"]["cluster"]["charts"]
    (release,) = (chart["release"] for chart in charts if chart["chart"] == "gateway")
    # The chart labels its pods by the release's name, without a leading `istio-`.
    assert document["spec"]["selector"] == {"istio": release.removeprefix("istio-")}


def test_monitors_scrape_ports_that_there_are() -> None:
    for one, document in of("PodMonitor"):
        spec = document["spec"]
        assert spec["namespaceSelector"] == {"any": True}
        names = {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]}
        if "closedloop" in one.name:
            chosen = selected("seldon-logs", spec["selector"])
            assert len(chosen) == 3
            assert all(names <= set(ports_of(template)) for template in chosen)
        else:
            assert names <= MODEL_PORTS


def test_images_are_those_of_versions_yaml_and_nowhere_latest() -> None:
    versions = values("versions.yaml")
    known = {*versions["images"].values(), versions["elasticsearch"]["cluster"]["image"]}
    used = set(chart_images(values("seldon-core/values.yaml")))
    for one in objects():
        used |= set(
            re.findall(
                r"^ *-? *image: (\S+)", (MANIFESTS.parent / one.source).read_text(), re.MULTILINE
            )
        )
    assert used == known


def test_namespaces_are_described_before_anything_is_in_them() -> None:
    described = {one.name for one, _ in of("Namespace")}
    assert {one.namespace for one in objects() if one.namespace} <= described
    charts = [
        chart
        for part in values("versions.yaml").values()
        for chart in part.get("cluster", {}).get("charts", ())
    ]
    assert {chart["namespace"] for chart in charts} <= described


def test_no_namespace_lets_privileged_pods_in() -> None:
    for one, document in of("Namespace"):
        level = document["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        assert level in ("baseline", "restricted"), one.source


def secret_keys() -> dict[str, set[str]]:
    """What each Secret holds once the installer has added what it generates."""
    found = {}
    for one, document in of("Secret"):
        generated = document["metadata"]["annotations"][GENERATE]
        found[f"{one.namespace}/{one.name}"] = {*document["stringData"], *generated.split(",")}
    return found


def test_secrets_have_the_keys_that_are_asked_for_and_no_password_is_written_down() -> None:
    for namespace, template in pods():
        for container in template["spec"]["containers"]:
            for variable in container.get("env", ()):
                if ref := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert ref["key"] in secret_keys()[f"{namespace}/{ref['name']}"]
    admin = values("monitoring/values.yaml")["grafana"]["admin"]
    keys = secret_keys()[f"monitoring/{admin['existingSecret']}"]
    assert {admin["userKey"], admin["passwordKey"]} <= keys
    for _, document in of("Secret"):
        assert not [key for key in document["stringData"] if "password" in key]


def test_the_url_of_a_service_is_made_with_the_password_that_its_secret_has() -> None:
    asking = [one for part in PARTS.values() for one in part.workloads if one.login]
    assert [f"{one.namespace}/{one.service}" for one in asking] == ["seldon-logs/elasticsearch"]
    for one in asking:
        assert one.login is not None
        keys = secret_keys()[f"{one.namespace}/{one.login.secret}"]
        assert {one.login.user, one.login.password} <= keys


def test_credentials_are_optional_where_the_search_server_may_ask_for_none() -> None:
    for one, document in of("Deployment"):
        variables = document["spec"]["template"]["spec"]["containers"][0]["env"]
        refs = [
            v["valueFrom"]["secretKeyRef"]
            for v in variables
            if "valueFrom" in v and "secretKeyRef" in v["valueFrom"]
        ]
        assert [ref["key"] for ref in refs] == ["username", "password"], one.source
        assert all(ref["optional"] for ref in refs)


@pytest.mark.parametrize(
    "template", [t for _, t in pods()], ids=lambda t: t["metadata"]["labels"]["app"]
)
def test_our_pods_run_with_as_little_as_they_need(template: Document) -> None:
    spec = template["spec"]
    accounts = {one.name: d for one, d in of("ServiceAccount")}
    assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    for container in spec["containers"]:
        assert {"readinessProbe", "livenessProbe"} <= set(container)


def test_users_of_our_images_are_the_users_of_their_dockerfiles() -> None:
    def user(folder: str) -> int:
        text = (MANIFESTS.parent / "docker" / folder / "Dockerfile").read_text()
        return int(re.findall(r"^USER (\d+)", text, re.MULTILINE)[-1])

    for _, document in of("Deployment"):
        assert document["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == user(
            "components"
        )
    for one, document in of("SeldonDeployment"):
        for predictor in document["spec"]["predictors"]:
            for component in predictor.get("componentSpecs", ()):
                for container in component["spec"]["containers"]:
                    if container.get("image", "").startswith("closedloop/iris"):
                        assert container["securityContext"]["runAsUser"] == user("iris"), one.source


def declared() -> Outputs:
    texts = values("models/outputs.yaml")["data"].items()
    return Outputs(
        {
            owner: one
            for name, text in texts
            for owner, one in parse_outputs(text, name).declared.items()
        }
    )


def predictors() -> Iterator[tuple[Predictor, Document]]:
    """Every predictor of a SeldonDeployment of ours."""
    for one, document in of("SeldonDeployment"):
        for predictor in document["spec"]["predictors"]:
            yield Predictor(one.namespace, one.name, predictor["name"]), predictor


def test_every_predictor_says_what_its_answers_mean() -> None:
    found = [names for names, _ in predictors()]
    assert len(found) >= 5
    for names in found:
        assert declared().of(names) is not None, names


def test_a_model_scores_itself_by_what_is_declared_of_it() -> None:
    stated = [
        (names, parameter["value"])
        for names, predictor in predictors()
        for parameter in predictor["graph"].get("parameters", ())
        if parameter["name"] == "output"
    ]
    assert len(stated) == 3
    for names, text in stated:
        assert read_output(json.loads(text)) == declared().of(names), names
