"""A context that is not ours: only what we made there may change or go."""

import pytest

from closedloop.platforms.cluster.inventory import NAME
from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import PlatformError
from closedloop.suite.setup import install_everything
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi
from tests.platforms.cluster.stand_ins import StandIns, workload


def _install(open_platform: Open) -> None:
    install_everything(open_platform(), lambda *_: None)


def test_on_a_context_no_cluster_is_made_and_down_leaves_exactly_what_was_there(
    on_context: Open, programs: StandIns, fake: FakeApi
) -> None:
    before = {key: each["metadata"]["uid"] for key, each in fake.objects.items()}
    _install(on_context)
    assert not programs.calls("kind")
    assert not programs.calls("docker")
    assert all("--kube-context test" in line for line in programs.calls("helm upgrade"))
    assert len(fake.objects) > len(before) + 40
    on_context().down()
    assert {key: each["metadata"]["uid"] for key, each in fake.objects.items()} == before
    assert programs.state["releases"] == {}
    assert on_context().status() == []


def test_a_kind_that_went_with_its_definition_is_no_longer_asked_for(
    on_context: Open, fake: FakeApi
) -> None:
    _install(on_context)
    fake.fail("GET", "/seldondeployments", 404, "404 page not found", times=99)
    on_context().down()
    assert fake.get("Namespace", "seldon") is None
    assert fake.get("ConfigMap", NAME, "default") is None


def test_what_charts_leave_without_a_word_is_removed_too(on_context: Open, fake: FakeApi) -> None:
    fake.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})
    on_context().apply("namespaces")
    for part in ("istio", "monitoring"):
        on_context().install(part)
    for name in ("istio-ca-root-cert", "istio-ca-crl"):
        metadata = {"name": name, "namespace": "default"}
        fake.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    metadata = {"name": "monitoring-kube-prometheus-admission", "namespace": "monitoring"}
    fake.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    on_context().down()
    assert fake.get("Namespace", "monitoring") is not None
    assert fake.get("Secret", metadata["name"], "monitoring") is None
    assert not [each for each in fake.objects.values() if each["kind"] == "ConfigMap"]


def test_on_a_context_a_release_of_others_is_used_and_stays(
    on_context: Open, programs: StandIns, fake: FakeApi
) -> None:
    theirs = {"chart": "istiod", "version": "1.29.0", "status": "deployed", "values": {}}
    programs.change(releases={"istio-system/istiod": theirs})
    fake.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    fake.put(workload("Deployment", "istiod", "istio-system", "istiod"))
    rows = {row.part: row for row in on_context().install("istio")}
    assert "not ours" in rows["istiod"].note
    on_context().down()
    assert programs.state["releases"] == {"istio-system/istiod": theirs}
    assert fake.get("Namespace", "istio-system") is not None
    assert fake.get("Deployment", "istiod", "istio-system") is not None


def test_a_namespace_of_ours_with_something_of_others_in_it_stays(
    on_context: Open, fake: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    on_context().apply("namespaces")
    theirs = workload("Deployment", "theirs", "seldon", "")
    theirs["metadata"].pop("annotations")
    fake.put(theirs)
    on_context().down()
    assert fake.get("Deployment", "theirs", "seldon") is not None
    assert fake.get("Namespace", "monitoring") is None
    assert "the namespace seldon is kept: Deployment theirs" in capsys.readouterr().err


def test_a_definition_of_ours_that_others_use_stays(
    on_context: Open, fake: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = on_context()
    platform.install("knative-eventing")
    fake.put(
        {
            "apiVersion": "eventing.knative.dev/v1",
            "kind": "Broker",
            "metadata": {"name": "theirs", "namespace": "default"},
        }
    )
    platform.down()
    assert fake.get("Broker", "theirs", "default") is not None
    assert "brokers.eventing.knative.dev" in fake.names("CustomResourceDefinition")
    assert "triggers.eventing.knative.dev" not in fake.names("CustomResourceDefinition")
    assert "brokers.eventing.knative.dev is kept" in capsys.readouterr().err


def test_down_may_be_interrupted(on_context: Open, programs: StandIns, fake: FakeApi) -> None:
    before = set(fake.objects)
    _install(on_context)
    for _ in range(60):
        fake.fail("DELETE", "/", 500, "the disk is full")
        try:
            on_context().down()
        except PlatformError:
            fake.faults.clear()
            fake.requests.clear()
            on_context().down()
            break
    assert set(fake.objects) == before


def test_images_come_from_the_mirror(on_context: Open, programs: StandIns, fake: FakeApi) -> None:
    on_context().apply("namespaces", "request-logger/deployment.yaml")
    on_context().install("istio")
    logger = fake.get("Deployment", "seldon-request-logger", "seldon-logs")
    assert logger is not None
    (container,) = logger["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "mirror.example/closedloop/components:0.1.0"
    line = next(each for each in programs.calls("helm upgrade") if "--install istiod" in each)
    assert "hub: mirror.example/istio" in line


def test_every_part_of_the_protocol_has_a_plan(on_context: Open) -> None:
    for part in PARTS:
        assert on_context().install(part)
