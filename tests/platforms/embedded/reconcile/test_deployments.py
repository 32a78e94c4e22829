from typing import Any

from closedloop.platforms.embedded.desired import Pod, Probe
from tests.platforms.embedded.reconcile.objects import config_map, deployment, manifest, reconcile


def only_pod(*documents: dict[str, Any]) -> Pod:
    (pod,) = reconcile(*documents).pods
    return pod


def test_the_request_logger_runs_as_its_manifest_says() -> None:
    pod = only_pod(manifest("request-logger/deployment.yaml"))
    (process,) = pod.processes
    assert pod.workload == "seldon-logs/seldon-request-logger"
    assert pod.owner == "Deployment/seldon-logs/seldon-request-logger"
    assert pod.ports == process.ports == {"http": 8080}
    assert process.argv == ("python", "-m", "closedloop.services.request_logger")
    assert process.env == {
        "HOST": "{pod_ip}",
        "PORT": "8080",
        "ELASTICSEARCH_URL": "http://here/seldon-logs/elasticsearch/9200",
        "MODEL_OUTPUTS": process.env["MODEL_OUTPUTS"],
    }
    assert process.env["MODEL_OUTPUTS"].startswith("/run/volumes/seldon-logs/model-outputs-")
    assert process.readiness == Probe(8080, "/ready", period=2.0)
    assert process.liveness == Probe(8080, "/live", period=10.0)
    assert process.stop_grace == 20.0


def test_replicas_are_equal_pods() -> None:
    document = deployment()
    document["spec"]["replicas"] = 3
    pods = reconcile(document).pods
    assert len(pods) == 3
    assert pods[0] == pods[1] == pods[2]


def test_grace_is_that_of_kubernetes_when_none_is_given() -> None:
    assert only_pod(deployment()).processes[0].stop_grace == 30.0


def test_a_tcp_probe_and_a_port_by_number() -> None:
    probe = {"tcpSocket": {"port": 99}, "timeoutSeconds": 4, "failureThreshold": 7}
    (process,) = only_pod(deployment(livenessProbe=probe)).processes
    assert process.liveness == Probe(99, None, period=10.0, timeout=4.0, failures=7)


def test_environment_follows_the_rules_of_kubernetes() -> None:
    container = {
        "envFrom": [{"prefix": "A_", "configMapRef": {"name": "all"}}],
        "env": [
            {"name": "A_x", "value": "over"},
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "all", "key": "y"}}},
            {"name": "SPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {
                "name": "NONE",
                "valueFrom": {"secretKeyRef": {"name": "t", "key": "k", "optional": True}},
            },
            {"name": "BOTH", "value": "$(KEY)/$(SPACE) $$(KEY) $(LATER)"},
        ],
        "args": ["--key=$(KEY)", "$(UNKNOWN)"],
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "ns"},
        "data": {"k": "aHVudGVy"},
    }
    (process,) = only_pod(
        deployment(**container), config_map("all", x="1", y="2"), secret
    ).processes
    assert process.env == {
        "A_x": "over",
        "A_y": "2",
        "KEY": "2",
        "SPACE": "ns",
        "SECRET": "hunter",
        "BOTH": "2/ns $(KEY) $(LATER)",
    }
    assert process.argv == ("python", "-m", "app", "--key=2", "$(UNKNOWN)")


def test_in_cluster_urls_are_rewritten_in_environment_and_arguments() -> None:
    url = "http://es.logs.svc.cluster.local:9200"
    pod = only_pod(
        deployment(
            args=[f"--url={url}/index"],
            env=[
                {"name": "TWO", "value": f"{url},http://es.logs.svc/x"},
                {"name": "FAR", "value": "http://es.logs.svc.example.org"},
                {"name": "SAFE", "value": "https://es.logs.svc"},
            ],
        )
    )
    (process,) = pod.processes
    assert process.argv[-1] == "--url=http://here/logs/es/9200/index"
    assert process.env == {
        "TWO": "http://here/logs/es/9200,http://here/logs/es/80/x",
        "FAR": "http://es.logs.svc.example.org",
        "SAFE": "https://es.logs.svc",
    }


def test_a_pod_waits_for_the_config_map_it_needs() -> None:
    waiting = reconcile(deployment(envFrom=[{"configMapRef": {"name": "later"}}]))
    assert waiting.pods == ()
    assert waiting.problems == {"Deployment/ns/app": ("ConfigMap ns/later does not exist",)}
    there = reconcile(
        deployment(envFrom=[{"configMapRef": {"name": "later"}}]), config_map("later")
    )
    assert (len(there.pods), there.problems) == (1, {})


def test_a_missing_key_is_named() -> None:
    variable = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "all", "key": "z"}}}
    result = reconcile(deployment(env=[variable]), config_map("all", x="1"))
    assert result.problems == {"Deployment/ns/app": ("ConfigMap ns/all has no key z",)}


def revision(document: dict[str, Any]) -> str:
    return only_pod(document).revision


def test_the_revision_changes_with_what_matters_to_the_process() -> None:
    base = revision(deployment())
    others = [
        deployment(args=["x"]),
        deployment(env=[{"name": "A", "value": "1"}]),
        deployment(image="closedloop/components:2"),
        deployment(ports=[{"name": "http", "containerPort": 80}]),
        deployment(livenessProbe={"tcpSocket": {"port": 1}}),
    ]
    labelled = deployment()
    labelled["spec"]["template"]["metadata"]["labels"] = {"app": "app", "tier": "1"}
    restarted = deployment()
    restarted["spec"]["template"]["metadata"]["annotations"] = {"restartedAt": "now"}
    revisions = [revision(document) for document in [*others, labelled, restarted]]
    assert len({base, *revisions}) == len(revisions) + 1


def test_the_revision_does_not_change_with_what_only_a_cluster_looks_at() -> None:
    document = deployment(resources={"limits": {"cpu": 1}}, imagePullPolicy="Always")
    document["metadata"]["annotations"] = {"note": "x"}
    document["spec"]["minReadySeconds"] = 3
    assert revision(document) == revision(deployment())


def test_the_revision_changes_with_a_config_map_that_is_read() -> None:
    document = deployment(envFrom=[{"configMapRef": {"name": "c"}}])
    pods = [reconcile(document, config_map("c", x=value)).pods[0] for value in ("1", "2")]
    assert pods[0].revision != pods[1].revision
