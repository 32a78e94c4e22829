"""What every platform does alike: these tests know of none which it is."""

import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from kubernetes.client import CoreV1Api

from closedloop.notebook.waiting import until
from closedloop.platforms.protocol import Platform, PlatformError
from closedloop.suite.bundle import write_bundle
from tests.platforms import echo as objects
from tests.platforms.contract.conftest import NAMESPACE

deployment = partial(objects.deployment, namespace=NAMESPACE)
service = partial(objects.service, namespace=NAMESPACE)
config = partial(objects.config_map, "words", namespace=NAMESPACE)
pytestmark = pytest.mark.timeout(900)  # on a cluster images have to come

PATIENCE = 300.0
ECHO = f"{NAMESPACE}/echo"


@pytest.fixture
def echo(platform: Platform) -> Platform:
    """The platform with a workload that is ready, the one of the test before if it is there."""
    platform.apply(deployment(), service())
    platform.wait("Deployment", "echo", NAMESPACE, timeout=PATIENCE)
    return platform


def _metadata(thing: dict[str, object]) -> dict[str, Any]:
    metadata = thing["metadata"]
    assert isinstance(metadata, dict)
    return metadata


def _pods(platform: Platform) -> dict[str, str]:
    """The uids of the pods that are not going, by name."""
    found = [_metadata(each) for each in platform.objects("Pod", NAMESPACE)]
    return {own["name"]: own["uid"] for own in found if "deletionTimestamp" not in own}


BROKER = {
    "apiVersion": "eventing.knative.dev/v1",
    "kind": "Broker",
    "metadata": {"name": "default", "namespace": NAMESPACE},
    "spec": {},
}
TRIGGER = {
    **BROKER,
    "kind": "Trigger",
    "metadata": {"name": "echo", "namespace": NAMESPACE},
    "spec": {
        "broker": "default",
        "subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "echo"}},
    },
}


# apply, get, objects, delete


def test_apply_says_what_happened_to_each_object(empty: Platform) -> None:
    assert empty.apply(config(a="1", b="2")) == ["ConfigMap/words created"]
    assert empty.apply(config(a="1", b="2")) == ["ConfigMap/words unchanged"]
    assert empty.apply(config(a="3")) == ["ConfigMap/words configured"]
    assert empty.get("ConfigMap", "words", NAMESPACE)["data"] == {"a": "3"}


def test_a_patch_leaves_what_others_applied_and_stays_when_they_apply_again(
    empty: Platform,
) -> None:
    empty.apply(config(a="1"))
    core = CoreV1Api(empty.kubernetes())
    core.patch_namespaced_config_map("words", NAMESPACE, {"data": {"b": "2"}})
    assert empty.get("ConfigMap", "words", NAMESPACE)["data"] == {"a": "1", "b": "2"}
    empty.apply(config(a="3"))
    assert empty.get("ConfigMap", "words", NAMESPACE)["data"] == {"a": "3", "b": "2"}


def test_objects_come_in_their_order_and_go_in_the_reverse(empty: Platform) -> None:
    both = deployment(), service()
    assert empty.apply(*both) == ["Service/echo created", "Deployment/echo created"]
    assert empty.delete(*both) == ["Deployment/echo deleted", "Service/echo deleted"]
    assert empty.delete(*both) == ["Deployment/echo absent", "Service/echo absent"]
    assert _pods(empty) == {}


def test_a_manifest_that_is_refused_names_its_file(empty: Platform, tmp_path: Path) -> None:
    wrong = deployment("Not_a_name")
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(PlatformError) as caught:
        empty.apply(tmp_path / "wrong.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'wrong.yaml'}: ")
    assert "Not_a_name" in str(caught.value)


def test_get_has_what_a_server_writes(echo: Platform) -> None:
    found = echo.get("Deployment", "echo", NAMESPACE)
    own, status = _metadata(found), found["status"]
    assert (found["kind"], found["apiVersion"]) == ("Deployment", "apps/v1")
    assert {"uid", "resourceVersion", "creationTimestamp", "generation"} <= own.keys()
    assert isinstance(status, dict)
    assert (status["observedGeneration"], status["readyReplicas"]) == (own["generation"], 1)


def test_an_object_is_applied_as_it_was_read(echo: Platform) -> None:
    found = echo.get("Deployment", "echo", NAMESPACE)
    # Whether fields are now of the one who applied them is the server's business.
    (said,) = echo.apply(found)
    assert said in ("Deployment/echo unchanged", "Deployment/echo configured")
    again = _metadata(echo.get("Deployment", "echo", NAMESPACE))
    assert again["generation"] == _metadata(found)["generation"]


def test_what_is_not_there_is_named(empty: Platform) -> None:
    with pytest.raises(PlatformError) as caught:
        empty.get("Deployment", "none", NAMESPACE)
    assert str(caught.value) == f"there is no Deployment {NAMESPACE}/none: apply it first"
    with pytest.raises(PlatformError, match="there is no kind Nothing: apply its definition first"):
        empty.objects("Nothing")


def test_objects_are_of_a_namespace_or_of_all(echo: Platform) -> None:
    (pod,) = echo.objects("Pod", NAMESPACE)
    own = _metadata(pod)
    assert own["labels"]["app"] == "echo"
    assert own["ownerReferences"][0]["kind"] == "ReplicaSet"
    (container,) = pod["status"]["containerStatuses"]  # type: ignore[index]  # plain JSON
    assert (container["name"], container["ready"]) == ("echo", True)
    assert "startedAt" in container["state"]["running"]
    everywhere = {_metadata(each)["name"] for each in echo.objects("Service")}
    assert "echo" in everywhere
    assert len(everywhere) > 1
    assert {_metadata(each)["namespace"] for each in echo.objects("Service", NAMESPACE)} == {
        NAMESPACE
    }


# wait


@pytest.mark.parametrize("condition", ["Available", "available", "Ready", "READY", "Progressing"])
def test_a_deployment_is_waited_for(echo: Platform, condition: str) -> None:
    found = echo.wait("Deployment", "echo", NAMESPACE, condition=condition)
    assert _metadata(found)["name"] == "echo"


def test_a_pod_is_waited_for(echo: Platform) -> None:
    for name in _pods(echo):
        echo.wait("Pod", name, NAMESPACE)
        echo.wait("Pod", name, NAMESPACE, condition="containersready")


def test_a_broker_and_a_trigger_are_waited_for(echo: Platform) -> None:
    echo.apply(BROKER, TRIGGER)
    for kind, name in (("Broker", "default"), ("Trigger", "echo")):
        found = echo.wait(kind, name, NAMESPACE, timeout=PATIENCE)
        assert _metadata(found)["name"] == name
        echo.wait(kind, name, NAMESPACE, condition="ready")


def test_a_stateful_set_is_waited_for(platform: Platform) -> None:
    for each in platform.objects("StatefulSet"):
        own = _metadata(each)
        if each["spec"]["replicas"]:  # type: ignore[index]  # plain JSON
            platform.wait("StatefulSet", own["name"], own["namespace"], timeout=PATIENCE)
            return
    pytest.fail("no part brought a StatefulSet")


def test_a_seldon_deployment_is_ready_when_its_route_answers(platform: Platform) -> None:
    platform.apply("models/outputs.yaml", "models/sklearn.yaml")
    for condition in ("Ready", "ready", "DeploymentsReady"):
        platform.wait("SeldonDeployment", "sklearn", "seldon", condition=condition, timeout=600)
    gateway = platform.url("istio-system/istio-ingressgateway")
    flower = {"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
    url = f"{gateway}/seldon/seldon/sklearn/api/v1.0/predictions"
    assert requests.post(url, json=flower, timeout=60).status_code == 200
    assert platform.logs("seldon/sklearn", 3).strip()


def test_what_comes_later_is_waited_for(empty: Platform) -> None:
    empty.apply(service())
    with pytest.raises(PlatformError) as caught:
        empty.wait("Deployment", "echo", NAMESPACE, timeout=0)
    assert str(caught.value).startswith(
        f"Deployment {ECHO} is not there after 0 s: apply it\nstatus:\n  there is no"
    )


@pytest.mark.parametrize(
    ("kind", "condition", "said"),
    [
        (
            "Deployment",
            "Redy",
            "a Deployment has no condition Redy: name one of Available, Ready, Progressing, Del",
        ),
        ("Pod", "Available", "a Pod has no condition Available: name one of Ready"),
        ("SeldonDeployment", "Available", "a SeldonDeployment has no condition Available"),
        ("Broker", "Available", "a Broker has no condition Available: name one of Ready, Deleted"),
        ("Service", "Ready", "a Service has no conditions: only Deleted can be waited for"),
    ],
)
def test_a_condition_that_a_kind_has_not_is_refused_at_once(
    empty: Platform, kind: str, condition: str, said: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        empty.wait(kind, "any", NAMESPACE, condition=condition, timeout=PATIENCE)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("condition", ["Deleted", "deleted"])
def test_deletion_is_waited_for(empty: Platform, condition: str) -> None:
    empty.apply(config(a="1"))
    with pytest.raises(PlatformError) as caught:
        empty.wait("ConfigMap", "words", NAMESPACE, condition=condition, timeout=0)
    assert str(caught.value).startswith(f"ConfigMap {NAMESPACE}/words is still there after 0 s:")
    empty.delete(config())
    empty.wait("ConfigMap", "words", NAMESPACE, condition=condition, timeout=PATIENCE)


def test_too_late_shows_status_pods_events_and_logs(empty: Platform) -> None:
    empty.apply(deployment(code="raise SystemExit('no such model')"))
    until(
        lambda: "no such model" in empty.logs(ECHO),
        what="the container's last words",
        timeout=PATIENCE,
    )
    with pytest.raises(PlatformError) as caught:
        empty.wait("Deployment", "echo", NAMESPACE, condition="available", timeout=1)
    head, *lines = str(caught.value).splitlines()
    assert head == (
        f"Deployment {ECHO} is not available after 1 s: see its status below,"
        " or `closedloop bundle` for everything"
    )
    sections = [line for line in lines if not line.startswith(" ")]
    assert sections[:3] == ["status:", "pods:", "events:"]
    assert sections[3].startswith(f"log of {ECHO}-")
    assert "  no such model" in lines
    empty.delete(deployment())


# logs, restart, status


def test_logs_are_the_last_lines_of_the_pods(echo: Platform) -> None:
    assert echo.logs(ECHO, 1) == "serving one\n"


@pytest.mark.parametrize("name", ["istio", "envoy", "istio-system/istio-ingressgateway"])
def test_a_part_logs_by_each_of_its_names(platform: Platform, name: str) -> None:
    assert platform.logs(name, 50).strip()


def test_nothing_of_that_name_is_said_alike(platform: Platform) -> None:
    for ask in (platform.logs, platform.restart):
        with pytest.raises(PlatformError, match=r"^nothing runs by the name none: `closedloop st"):
            ask("none")


@pytest.mark.parametrize("kill", [False, True])
def test_a_restart_replaces_the_pods(echo: Platform, kill: bool) -> None:
    before = set(_pods(echo).values())
    echo.restart(ECHO, kill=kill)
    after = set(_pods(echo).values())
    assert len(after) == 1
    assert not before & after
    echo.wait("Deployment", "echo", NAMESPACE, condition="Available", timeout=1)
    assert echo.logs(ECHO, 1) == "serving one\n"


def test_status_has_a_row_for_each_workload(echo: Platform) -> None:
    rows = {row.part: row for row in echo.status()}
    assert rows["istio-system/istio-ingressgateway"].state == "ready"
    assert all(row.part.count("/") == 1 for row in rows.values())
    assert [rows[path].version for path in rows if path == ECHO] in (["0.1.0"], [])


# bundle


def test_a_bundle_has_objects_events_and_logs_without_passwords(
    echo: Platform, tmp_path: Path
) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "seldon"},
        "stringData": {"password": "the-very-password"},
    }
    echo.apply(secret)
    try:
        write_bundle(echo, tmp_path / "bundle.tar.gz")
    finally:
        echo.delete(secret)
    with tarfile.open(tmp_path / "bundle.tar.gz") as packed:
        files = {
            name.removeprefix("bundle/"): file.read()
            for name in packed.getnames()
            if (file := packed.extractfile(name)) is not None
        }
    wanted = {"objects/Deployment.yaml", "objects/Pod.yaml", "objects/Event.yaml", "status.txt"}
    assert wanted <= files.keys()
    assert any(name.startswith("logs/istio-system/istio-ingressgateway-") for name in files)
    assert "versions/kubernetes.txt" in files
    assert b"istio-ingressgateway" in files["status.txt"]
    assert not [name for name, content in files.items() if b"the-very-password" in content]
