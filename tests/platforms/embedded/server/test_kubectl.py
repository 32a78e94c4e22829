"""A real kubectl on the embedded platform."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.notebook.waiting import until
from closedloop.paths import checkout_root
from tests.platforms import echo

KUBECTL = shutil.which("kubectl")
pytestmark = [
    pytest.mark.embedded,
    pytest.mark.timeout(300),
    pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH"),
]
MANIFESTS = checkout_root() / "manifests"
WAIT = "--timeout=120s"


class Kubectl:
    """Runs kubectl with a kubeconfig and a home of its own."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._env = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(home),
        }

    def __call__(self, *words: str, fails: bool = False) -> str:
        """What it prints, errors included; it must succeed, or fail if `fails`."""
        assert KUBECTL is not None
        done = subprocess.run(
            [KUBECTL, *words],
            env=self._env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=180,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"kubectl {' '.join(words)}: {done.stdout}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def started(self, *words: str) -> "subprocess.Popen[str]":
        assert KUBECTL is not None
        return subprocess.Popen([KUBECTL, *words], env=self._env, text=True, stdout=subprocess.PIPE)


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(kubeconfig, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def echoing(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a Deployment and a Service that kubectl applied."""
    file = tmp_path_factory.mktemp("manifests") / "echo.yaml"
    file.write_text(yaml.safe_dump_all([echo.deployment("echo"), echo.service("echo")]))
    said = kubectl("apply", "-f", str(file))
    assert said == "deployment.apps/echo created\nservice/echo created\n"
    kubectl("rollout", "status", "deployment/echo", WAIT)
    yield file
    kubectl("delete", "-f", str(file), "--ignore-not-found")


@pytest.fixture(scope="module")
def model(kubectl: Kubectl) -> Iterator[None]:
    """A SeldonDeployment and the Triggers around it, from the walkthrough's own files."""
    for name in ("namespaces/seldon.yaml", "namespaces/seldon-logs.yaml", "istio/gateway.yaml"):
        kubectl("apply", "--server-side", "-f", str(MANIFESTS / name))
    names = ("request-logger", "knative-eventing/broker.yaml", "models/sklearn.yaml")
    for name in names:
        kubectl("apply", "-f", str(MANIFESTS / name))
    kubectl("wait", "--for=condition=Ready", "sdep/sklearn", "-n", "seldon", WAIT)
    kubectl("wait", "--for=condition=Ready", "trigger", "--all", "-n", "seldon-logs", WAIT)
    yield
    for name in (*reversed(names), "istio/gateway.yaml"):
        kubectl("delete", "-f", str(MANIFESTS / name))


def _pods(kubectl: Kubectl, labels: str, namespace: str = "default") -> list[dict[str, Any]]:
    """The pods that are not ending."""
    found = kubectl.json("get", "pods", "-n", namespace, "-l", labels)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def test_versions_and_kinds(kubectl: Kubectl) -> None:
    assert "Server Version: v1.35" in kubectl("version")
    kinds = kubectl("api-resources")
    assert re.search(r"seldondeployments +sdep +machinelearning.seldon.io/v1 +true", kinds)
    assert "error" in kubectl("get", "nothing", fails=True)


def test_get_shows_kinds_of_all_namespaces(kubectl: Kubectl, model: None) -> None:
    shown = kubectl("get", "sdep,trigger,pods", "-A")
    assert re.search(
        r"seldon-logs +trigger\S*/seldon-request-logger +default +http\S+.* True", shown
    )
    assert re.search(r"seldon +seldondeployment\S*/sklearn ", shown)
    assert re.search(r"seldon +pod/sklearn-default-0-classifier-\S+ +2/2 +Running +0 ", shown)
    assert re.search(r"seldon-logs +pod/elasticsearch-0 +1/1 +Running", shown)


def test_apply_again_changes_nothing(kubectl: Kubectl, echoing: Path, model: None) -> None:
    assert "unchanged" in kubectl("apply", "-f", str(echoing))
    sklearn = str(MANIFESTS / "models" / "sklearn.yaml")
    assert "sklearn unchanged" in kubectl("apply", "-f", sklearn)
    assert not kubectl("diff", "-f", sklearn)


def test_apply_on_the_server_says_who_else_has_a_field(kubectl: Kubectl, echoing: Path) -> None:
    own = kubectl("apply", "--server-side", "--field-manager=me", "-f", str(echoing))
    assert "deployment.apps/echo serverside-applied" in own
    file = echoing.with_name("other.yaml")
    file.write_text(yaml.safe_dump(echo.deployment("echo", replicas=3)))
    refused = kubectl("apply", "--server-side", "--field-manager=you", "-f", str(file), fails=True)
    assert '"me"' in refused
    assert ".spec.replicas" in refused


def test_a_field_without_effect_is_refused(kubectl: Kubectl, tmp_path: Path) -> None:
    thing = echo.deployment("strange")
    thing["spec"]["template"]["spec"]["hostPID"] = True
    file = tmp_path / "strange.yaml"
    file.write_text(yaml.safe_dump(thing))
    said = kubectl("apply", "-f", str(file), fails=True)
    assert 'The Deployment "strange" is invalid: spec.template.spec.hostPID' in said
    assert "NotFound" in kubectl("get", "deployment", "strange", fails=True)


def test_dry_run_keeps_nothing(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "dry.yaml"
    file.write_text(yaml.safe_dump(echo.deployment("dry")))
    assert "created (server dry run)" in kubectl("apply", "--dry-run=server", "-f", str(file))
    assert "NotFound" in kubectl("get", "deployment", "dry", fails=True)


def test_describe_tells_of_pods_and_events(kubectl: Kubectl, echoing: Path, model: None) -> None:
    deployment = kubectl("describe", "deployment", "echo")
    assert re.search(r"NewReplicaSet: +echo-\S+ \(1/1 replicas created\)", deployment)
    assert "ScalingReplicaSet" in deployment
    pod = kubectl("describe", "pod", "-l", "app=echo")
    assert re.search(r"Controlled By: +ReplicaSet/echo-", pod)
    assert "Started container echo" in pod
    assert re.search(r"State: +Available", kubectl("describe", "sdep", "sklearn", "-n", "seldon"))


def test_events(kubectl: Kubectl, echoing: Path) -> None:
    assert re.search(
        r"Normal +Started +pod/echo-\S+ +Started container echo", kubectl("get", "events")
    )


def test_logs_follow_until_the_container_ends(kubectl: Kubectl, echoing: Path) -> None:
    assert kubectl("logs", "deployment/echo") == "serving one\n"
    (pod,) = _pods(kubectl, "app=echo")
    following = kubectl.started("logs", "-f", pod["metadata"]["name"])
    kubectl("delete", "pod", pod["metadata"]["name"])
    assert following.communicate(timeout=60)[0] == "serving one\n"
    assert following.returncode == 0
    kubectl("rollout", "status", "deployment/echo", WAIT)


def test_rollout_restart_replaces_the_pods(kubectl: Kubectl, echoing: Path) -> None:
    before = _uids(_pods(kubectl, "app=echo"))
    kubectl("rollout", "restart", "deployment/echo")
    kubectl("rollout", "status", "deployment/echo", WAIT)
    assert _uids(_pods(kubectl, "app=echo")).isdisjoint(before)


def test_rollout_restart_of_a_part(kubectl: Kubectl) -> None:
    place = ("-n", "monitoring", "-l", "app.kubernetes.io/name=prometheus")
    (before,) = kubectl.json("get", "pods", *place)["items"]
    name = "statefulset/prometheus-monitoring-kube-prometheus-prometheus"
    kubectl("rollout", "restart", name, "-n", "monitoring")
    kubectl("rollout", "status", name, "-n", "monitoring", WAIT)
    (after,) = kubectl.json("get", "pods", *place)["items"]
    assert after["metadata"]["name"] == before["metadata"]["name"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_rollout_restart_of_a_model(kubectl: Kubectl, model: None) -> None:
    place = ("seldon-deployment-id=sklearn", "seldon")
    before = _uids(_pods(kubectl, *place))
    kubectl("rollout", "restart", "deployment/sklearn-default-0-classifier", "-n", "seldon")
    kubectl("rollout", "status", "deployment/sklearn-default-0-classifier", "-n", "seldon", WAIT)
    assert _uids(_pods(kubectl, *place)).isdisjoint(before)


def test_scale(kubectl: Kubectl, echoing: Path) -> None:
    kubectl("scale", "deployment/echo", "--replicas=2")
    kubectl("rollout", "status", "deployment/echo", WAIT)
    assert len(_pods(kubectl, "app=echo")) == 2
    kubectl("scale", "deployment/echo", "--replicas=1")
    kubectl("wait", "deployment/echo", "--for=jsonpath={.status.replicas}=1", WAIT)


def test_patches(kubectl: Kubectl, echoing: Path) -> None:
    kubectl("patch", "deployment", "echo", "-p", '{"metadata": {"labels": {"a": "1"}}}')
    kubectl(
        *("patch", "deployment", "echo", "--type=json"),
        *("-p", '[{"op": "replace", "path": "/metadata/labels/a", "value": "2"}]'),
    )
    kubectl("label", "deployment", "echo", "b=3")
    labels = kubectl.json("get", "deployment", "echo")["metadata"]["labels"]
    assert labels == {"a": "2", "b": "3"}
    refused = kubectl("delete", "sts", "elasticsearch", "-n", "seldon-logs", fails=True)
    assert "is made by an installed part" in refused


def test_what_kubectl_makes_itself_comes_in_protobuf(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "pods") == "yes\n"
    kubectl("create", "namespace", "made")
    kubectl("create", "configmap", "one", "--from-literal=a=b", "-n", "made")
    kubectl("create", "secret", "generic", "two", "--from-literal=c=d", "-n", "made")
    assert kubectl.json("get", "cm", "one", "-n", "made")["data"] == {"a": "b"}
    assert kubectl.json("get", "secret", "two", "-n", "made")["data"] == {"c": "ZA=="}
    image = "--image=closedloop/components:0.1.0"
    command = ("--", "python", "-c", "import time; time.sleep(600)")
    kubectl("create", "deployment", "made", image, "-n", "made", *command)
    kubectl("rollout", "status", "deployment/made", "-n", "made", WAIT)
    kubectl("expose", "deployment", "made", "--port=80", "-n", "made")
    kubectl("delete", "namespace", "made")
    assert "NotFound" in kubectl("get", "namespace", "made", fails=True)


def test_a_crash_is_seen(kubectl: Kubectl, tmp_path: Path) -> None:
    thing = echo.deployment("crash", code="print('so long'); raise SystemExit(3)")
    file = tmp_path / "crash.yaml"
    file.write_text(yaml.safe_dump(thing))
    kubectl("apply", "-f", str(file))

    def container() -> dict[str, Any]:
        statuses = [pod["status"].get("containerStatuses") for pod in _pods(kubectl, "app=crash")]
        return statuses[0][0] if statuses and statuses[0] else {}

    seen = until(
        container,
        lambda one: one.get("restartCount", 0) >= 2 and "waiting" in one["state"],
        what="the container to have crashed twice",
        timeout=60,
    )
    assert seen["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert seen["lastState"]["terminated"]["exitCode"] == 3
    assert "BackOff" in kubectl("get", "events", "--field-selector", "type=Warning")
    (pod,) = _pods(kubectl, "app=crash")
    assert kubectl("logs", "--previous", pod["metadata"]["name"]) == "so long\n"
    kubectl("delete", "-f", str(file))
    assert not _pods(kubectl, "app=crash")


def test_delete_takes_everything_away(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "gone.yaml"
    file.write_text(yaml.safe_dump_all([echo.deployment("gone"), echo.service("gone")]))
    kubectl("create", "-f", str(file))
    kubectl("rollout", "status", "deployment/gone", WAIT)
    said = kubectl("delete", "-f", str(file))
    assert 'deployment.apps "gone" deleted' in said
    assert "No resources found" in kubectl("get", "pods,rs,deploy", "-l", "app=gone")
