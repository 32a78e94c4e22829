from pathlib import Path
from typing import Any

import pytest

from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster import commands, helm, kind
from closedloop.platforms.cluster.inventory import NAME
from closedloop.platforms.protocol import PlatformError
from closedloop.suite.setup import install_everything
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi
from tests.platforms.cluster.stand_ins import StandIns, workload


def _install(open_platform: Open) -> None:
    install_everything(open_platform(), lambda *_: None)


def _releases(programs: StandIns) -> list[str]:
    return [line.split()[3] for line in programs.calls("helm upgrade")]


def test_installs_everything_in_order_and_a_second_run_changes_nothing(
    on_kind: Open, programs: StandIns, fake: FakeApi
) -> None:
    _install(on_kind)
    changing = [line for line in programs.calls() if not line.startswith("helm get")]
    created = next(i for i, line in enumerate(changing) if line.startswith("kind create"))
    first_chart = next(i for i, line in enumerate(changing) if line.startswith("helm pull"))
    assert created < first_chart
    assert _releases(programs) == [
        "istio-base",
        "istiod",
        "istio-ingressgateway",
        "monitoring",
        "seldon-core",
    ]
    assert fake.names("StatefulSet") >= {"elasticsearch"}
    assert fake.names("Broker") == {"default"}
    assert fake.names("Deployment") >= {"seldon-request-logger", "alert-logger"}

    before = {key: each["metadata"]["resourceVersion"] for key, each in fake.objects.items()}
    programs.forget()
    _install(on_kind)
    after = {key: each["metadata"]["resourceVersion"] for key, each in fake.objects.items()}
    assert after == before
    words = ("helm upgrade", "helm pull", "kind create", "kind delete", "helm uninstall")
    assert not [line for line in programs.calls() if line.startswith(words)]


def test_the_cluster_gets_its_image_by_digest_and_its_ports(
    on_kind: Open, programs: StandIns, home: Path
) -> None:
    on_kind().apply("namespaces/seldon.yaml")
    (line,) = programs.calls("kind create")
    assert "--image kindest/node:v1.35.8@sha256:" in line
    assert "manifests/kind/values-cluster.yaml" in line
    assert f"--kubeconfig {home}/cluster/kubeconfig" in line


def test_a_release_is_installed_from_an_archive_with_its_values(
    on_kind: Open, programs: StandIns
) -> None:
    on_kind().install("istio")
    line = programs.calls("helm upgrade")[1]
    assert "--version 1.30.4 --namespace istio-system" in line
    assert "manifests/istio/values-istiod.yaml" in line
    assert "--kube-context kind-closedloop" in line
    assert "--wait" in line
    assert programs.calls("helm pull")[1].startswith(
        "helm pull istiod --repo https://istio-release.storage.googleapis.com/charts"
    )


def test_says_what_a_person_would_do_by_hand(on_kind: Open) -> None:
    rows = on_kind().install("knative-eventing")
    assert [row.part for row in rows] == [
        "Knative CRDs",
        "Knative core",
        "in-memory channel",
        "broker",
    ]
    assert "kubectl apply --server-side -f https://github.com/knative/eventing" in rows[0].note


def test_what_nothing_uses_is_scaled_to_zero(on_kind: Open, fake: FakeApi) -> None:
    on_kind().install("knative-eventing")
    job_sink = fake.get("Deployment", "job-sink", "knative-eventing")
    assert job_sink is not None
    assert job_sink["spec"]["replicas"] == 0


def test_rules_that_a_controller_aggregates_are_not_emptied(on_kind: Open, fake: FakeApi) -> None:
    on_kind().install("knative-eventing")
    role = fake.get("ClusterRole", "addressable-resolver")
    assert role is not None
    assert "rules" not in role


def test_our_image_is_built_and_loaded_once_when_a_manifest_wants_it(
    on_kind: Open, programs: StandIns
) -> None:
    platform = on_kind()
    platform.apply("namespaces")
    assert not programs.calls("docker build")
    platform.apply("request-logger/deployment.yaml")
    platform.apply("alert-logger/deployment.yaml")
    (built,) = programs.calls("docker build")
    assert "--tag closedloop/components:0.1.0" in built
    assert programs.calls("kind load") == [
        "kind load docker-image closedloop/components:0.1.0 --name closedloop"
    ]


def test_our_image_is_built_when_the_values_of_a_chart_name_it(
    on_kind: Open, programs: StandIns
) -> None:
    on_kind().install("seldon-core")
    (built,) = programs.calls("docker build")
    assert "--tag closedloop/executor:0.1.0" in built


def test_upstreams_kinds_that_we_leave_out_are_not_applied(on_kind: Open, fake: FakeApi) -> None:
    on_kind().install("knative-eventing")
    kinds = {each["kind"] for each in fake.objects.values()}
    assert "HorizontalPodAutoscaler" not in kinds
    assert "Deployment" in kinds


def test_upstreams_probes_are_patient_on_a_busy_node(on_kind: Open, fake: FakeApi) -> None:
    on_kind().install("knative-eventing")
    made = fake.get("Deployment", "imc-controller", "knative-eventing")
    assert made is not None
    (container,) = made["spec"]["template"]["spec"]["containers"]
    for probe in (container["livenessProbe"], container["readinessProbe"]):
        assert (probe["timeoutSeconds"], probe["failureThreshold"]) == (10, 6)
    assert container["readinessProbe"]["periodSeconds"] == 2


def test_a_changed_version_is_an_upgrade_and_replaces_seldons_manager(
    on_kind: Open, programs: StandIns, fake: FakeApi
) -> None:
    on_kind().install("seldon-core")
    releases = programs.state["releases"]
    releases["seldon-system/seldon-core"]["version"] = "1.17.0"
    programs.change(releases=releases)
    _pods_follow(fake, "seldon-controller-manager", "seldon-system")
    on_kind().install("seldon-core")
    manager = fake.get("Deployment", "seldon-controller-manager", "seldon-system")
    assert manager is not None
    assert manager["spec"]["template"]["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("status", "repair"),
    [("pending-install", "helm uninstall istiod"), ("pending-upgrade", "helm rollback istiod")],
)
def test_goes_on_from_an_interrupted_helm(
    on_kind: Open, programs: StandIns, status: str, repair: str
) -> None:
    on_kind().install("istio")
    releases = programs.state["releases"]
    releases["istio-system/istiod"]["status"] = status
    programs.change(releases=releases)
    programs.forget()
    on_kind().install("istio")
    calls = [line for line in programs.calls("helm") if "get" not in line.split()[1]]
    assert next(line for line in calls if repair in line)
    assert programs.state["releases"]["istio-system/istiod"]["status"] == "deployed"


def test_a_chart_that_is_not_ready_says_why(
    on_kind: Open, programs: StandIns, fake: FakeApi
) -> None:
    on_kind().apply("namespaces")
    stuck = workload("Deployment", "istiod", "istio-system", "istiod")
    fake.put({**stuck, "status": {"conditions": [{"type": "Available", "status": "False"}]}})
    _pod(fake, "istiod-1", "istio-system", {"app": "istiod"}, reason="ImagePullBackOff")
    programs.fail("upgrade --install istiod", "Error: context deadline exceeded", times=9)
    with pytest.raises(PlatformError, match=r"deadline exceeded(?s:.)*ImagePullBackOff"):
        on_kind().install("istio")


def test_down_deletes_the_kind_cluster_and_nothing_else(
    on_kind: Open, programs: StandIns, fake: FakeApi
) -> None:
    on_kind().install("istio")
    fake.requests.clear()
    platform = on_kind()
    platform.down()
    assert programs.state["clusters"] == []
    assert fake.changes() == []
    assert platform.status() == []
    platform.down()


def test_a_kind_cluster_of_others_is_not_touched(on_kind: Open, programs: StandIns) -> None:
    programs.change(clusters=["closedloop"])
    with pytest.raises(PlatformError, match="was not made from this checkout"):
        on_kind().apply("namespaces")
    on_kind().down()
    assert programs.state["clusters"] == ["closedloop"]


def test_without_a_cluster_it_says_how_to_get_one(on_kind: Open, programs: StandIns) -> None:
    platform = on_kind()
    assert platform.status() == []
    assert platform.delete("models/iris-perf.yaml") == ["SeldonDeployment/iris-perf absent"]
    with pytest.raises(PlatformError, match="closedloop up --platform cluster"):
        platform.get("Namespace", "seldon")


def test_unknown_parts_are_named(on_kind: Open, programs: StandIns) -> None:
    with pytest.raises(PlatformError, match="there is no part 'kafka'"):
        on_kind().install("kafka")
    assert not programs.calls("kind create")


def test_status_has_a_row_for_each_workload(on_kind: Open) -> None:
    on_kind().apply("namespaces")
    for part in ("istio", "elasticsearch"):
        on_kind().install(part)
    rows = {row.part: row for row in on_kind().status()}
    assert rows["seldon-logs/elasticsearch"].state == "ready"
    assert rows["seldon-logs/elasticsearch"].url == "http://127.0.0.1:9200"
    assert rows["istio-system/istio-ingressgateway"].url == "http://127.0.0.1:8003"
    assert rows["istio-system/istiod"].version == "1.2.3"


def test_kill_deletes_the_pods_at_once_and_waits_for_new_ones(on_kind: Open, fake: FakeApi) -> None:
    on_kind().apply("namespaces", "request-logger/deployment.yaml")
    logger = {"app": "seldon-request-logger"}
    _pod(fake, "logger-1", "seldon-logs", logger)
    _pods_follow(fake, "seldon-request-logger", "seldon-logs", after="DELETE")
    on_kind().restart("seldon-logs/seldon-request-logger", kill=True)
    killed = [each for each in fake.requests if each.method == "DELETE"]
    assert killed[-1].body["gracePeriodSeconds"] == 0
    assert "logger-1" not in fake.names("Pod")


def test_logs_are_those_of_the_workloads_pods(on_kind: Open, fake: FakeApi) -> None:
    on_kind().apply("namespaces", "request-logger/deployment.yaml")
    _pod(fake, "logger-1", "seldon-logs", {"app": "seldon-request-logger"})
    fake.logs["logger-1/main"] = "one\ntwo\n"
    assert on_kind().logs("seldon-logs/seldon-request-logger") == "one\ntwo\n"


# Interruption


class _Interrupted(KeyboardInterrupt):
    pass


@pytest.mark.timeout(300)  # two dozen runs, each with dozens of processes
@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.nightly)])
def test_interrupted_at_every_step_it_ends_up_the_same(
    stride: int,
    on_kind: Open,
    programs: StandIns,
    fake: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Every `stride`th change is once done and then interrupted; the next run must get past it.
    seen: set[str] = set()
    real_run, real_apply = commands.run, Api.apply

    def interrupt_once(step: str) -> None:
        if step not in seen:
            seen.add(step)
            if len(seen) % stride == 0:
                raise _Interrupted

    def run(argv: Any, **options: Any) -> str:
        said = real_run(argv, **options)
        if argv[1] in {"create", "load", "upgrade", "build", "pull"}:
            interrupt_once(" ".join(argv[:4]))
        return said

    def apply(self: Api, document: Any, **options: Any) -> Any:
        result = real_apply(self, document, **options)
        interrupt_once(str(document["kind"]))
        return result

    for module in (helm, kind):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr("closedloop.platforms.cluster.sources.run", run)
    monkeypatch.setattr(Api, "apply", apply)
    for _ in range(60):
        try:
            _install(on_kind)
            break
        except _Interrupted:
            continue
    else:
        pytest.fail("it never got to its end")
    assert {"helm upgrade --install istiod", "kind create cluster --config", "Secret"} <= seen
    assert len([line for line in programs.calls("helm upgrade") if "istiod" in line]) == 1
    monkeypatch.setattr(Api, "apply", real_apply)
    fake.requests.clear()
    programs.forget()
    _install(on_kind)
    assert not programs.calls("helm upgrade")
    inventory = fake.get("ConfigMap", NAME, "default")
    assert inventory is not None
    lines = inventory["data"]["made"].splitlines()
    assert len(lines) == len(set(lines))


def _pod(
    fake: FakeApi, name: str, namespace: str, labels: dict[str, str], reason: str = ""
) -> None:
    state = {"waiting": {"reason": reason}} if reason else {"running": {}}
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "main"}]},
            "status": {
                "phase": "Pending" if reason else "Running",
                "conditions": [{"type": "Ready", "status": "False" if reason else "True"}],
                "containerStatuses": [
                    {"name": "main", "ready": not reason, "restartCount": 0, "state": state}
                ],
            },
        }
    )


def _pods_follow(fake: FakeApi, name: str, namespace: str, after: str = "PATCH") -> None:
    """Let a new pod appear as soon as the workload is changed, or its pods are deleted."""

    def follow(key: tuple[str, str, str], gone: bool) -> None:
        deleted = after == "DELETE" and gone and key[0] == "Pod"
        changed = after == "PATCH" and not gone and key == ("Deployment", namespace, name)
        if deleted or changed:
            _pod(fake, f"{name}-new", namespace, {"app": name})

    fake.on_change = follow
