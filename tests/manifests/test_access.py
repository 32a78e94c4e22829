"""Who may do what, and who may call whom."""

from collections.abc import Iterator

import pytest

from tests.manifests.repository import Document, objects, of

_READS = {"get", "list", "watch"}


def test_what_a_model_owner_may_change() -> None:
    changes = {
        (role.namespace, resource, verb, *rule.get("resourceNames", ()))
        for role, document in of("Role")
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in _READS and resource != "pods/portforward"
    }
    models = {"create", "patch", "update", "delete"}
    assert changes == {
        *(("seldon", "seldondeployments", verb) for verb in models),
        ("seldon-logs", "pods", "delete"),  # of the metrics server: policy-pods.yaml
        ("seldon-logs", "configmaps", "patch", "model-outputs"),
        ("istio-system", "services/proxy", "create", "istio-ingressgateway:80"),
    }


def test_every_role_of_a_model_owner_is_given_to_the_same_group() -> None:
    given = {one.namespace: d["subjects"] for one, d in of("RoleBinding")}
    assert set(given) == {one.namespace for one, _ in of("Role")}
    (group,) = {str(subjects) for subjects in given.values()}
    assert "closedloop-notebooks" in group
    ((_, policy),) = of("ValidatingAdmissionPolicy")
    assert '"closedloop-notebooks" in request' in policy["spec"]["matchConditions"][0]["expression"]
    ((_, binding),) = of("ValidatingAdmissionPolicyBinding")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]


def test_events_are_sent_from_the_namespaces_of_models_only() -> None:
    labels = {one.name: d["metadata"]["labels"] for one, d in of("Namespace")}
    policy = _policy("knative-eventing", "broker-ingress")
    (peer,) = policy["spec"]["ingress"][0]["from"]
    ((key, value),) = peer["namespaceSelector"]["matchLabels"].items()
    assert [name for name, own in labels.items() if own.get(key) == value] == ["seldon"]


def test_no_model_reaches_the_internet_unless_it_says_so() -> None:
    open_to = [
        one.name
        for one, document in of("NetworkPolicy")
        for rule in document["spec"].get("egress", ())
        for peer in rule.get("to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}])
        if "/0" in peer.get("ipBlock", {}).get("cidr", "")
    ]
    assert open_to == ["models-egress-internet"]
    label = _policy("seldon", *open_to)["spec"]["podSelector"]["matchLabels"]
    assert label
    for one, document in of("SeldonDeployment"):
        for predictor in document["spec"]["predictors"]:
            assert not label.items() <= predictor.get("labels", {}).items(), one.source


def test_whoever_scrapes_is_prometheus_and_not_all_of_its_namespace() -> None:
    for one, document in of("NetworkPolicy"):
        for rule in document["spec"].get("ingress", ()):
            for peer in rule.get("from", ()):
                if "monitoring" in str(peer.get("namespaceSelector")):
                    assert "prometheus" in str(peer["podSelector"]), one.source


def _predictors() -> Iterator[Document]:
    for _, document in of("SeldonDeployment"):
        yield from document["spec"]["predictors"]


@pytest.mark.parametrize("predictor", list(_predictors()), ids=lambda p: p["name"])
def test_models_pods_run_with_as_little_as_they_need(predictor: Document) -> None:
    (component,) = predictor["componentSpecs"]
    spec = component["spec"]
    assert spec["automountServiceAccountToken"] is False
    # Of every container, the executor's included, whose own the operator writes.
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def _policy(namespace: str, name: str) -> Document:
    (found,) = (
        document
        for one, document in of("NetworkPolicy")
        if (one.namespace, one.name) == (namespace, name)
    )
    return found


def test_whoever_runs_the_notebooks_may_do_nothing_to_a_whole_cluster() -> None:
    assert not [one for one in objects() if one.kind.startswith("ClusterRole")]
    roles = {one.key: d for one, d in of("Role")}
    for one, document in of("RoleBinding"):
        assert one.key.replace("RoleBinding", "Role") in roles
        assert document["roleRef"]["name"] == document["metadata"]["name"]
    for document in roles.values():
        for rule in document["rules"]:
            assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
            if "secrets" in rule["resources"]:
                assert (rule["verbs"], len(rule["resourceNames"])) == (["get"], 1)


def test_whoever_may_forward_a_port_may_do_it_by_a_websocket() -> None:
    """Which is opened by GET, the verb `get`; from Kubernetes 1.35 on it takes `create` as well."""
    verbs = [
        set(rule["verbs"])
        for _, document in of("Role")
        for rule in document["rules"]
        if "pods/portforward" in rule["resources"]
    ]
    assert verbs == [{"get", "create"}] * 4
