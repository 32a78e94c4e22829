from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.notebook.waiting import until
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import is_reconciled, met
from closedloop.platforms.client.connection import ApiError, Unreachable
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.fake_api import FakeApi


@pytest.fixture
def fake(fake: FakeApi) -> FakeApi:
    fake.controllers = False
    return fake


def _deployment(name: str = "web", *, generation: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "generation": generation},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "a:1"}]},
            },
        },
        "status": status,
    }


def _rolled_out(generation: int = 1) -> dict[str, Any]:
    counts = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
    return {"observedGeneration": generation, **dict.fromkeys(counts, 1)}


@contextmanager
def _once_watched(fake: FakeApi, action: Callable[[], object]) -> Iterator[None]:
    """Do it as soon as somebody watches, and not before."""

    def act() -> None:
        until(
            lambda: any("watch" in each.query for each in [*fake.requests]),
            what="a watch",
            timeout=60,
            every=0.01,
        )
        action()

    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result()


def test_sees_a_change_without_asking_again(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment())
    with _once_watched(fake, lambda: fake.put(_deployment(**_rolled_out()))):
        wait(api, "Deployment", "web", "default", condition="Available", timeout=60)
    lists = [each for each in fake.requests if each.path.endswith("/deployments")]
    assert len(lists) == 2  # one list, one watch


def test_an_object_that_comes_later_is_waited_for(api: Api, fake: FakeApi) -> None:
    with _once_watched(fake, lambda: fake.put(_deployment(**_rolled_out()))):
        found = wait(api, "Deployment", "web", "default", condition="Available", timeout=60)
    assert found["metadata"]["name"] == "web"


def test_begins_again_when_its_version_is_gone(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment())
    real = api.list
    calls = 0

    def listed(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        result = real(*arguments, **options)
        if calls == 1:
            fake.put(_deployment(**_rolled_out()))
            fake.compact()
        return result

    api.list = listed  # type: ignore[method-assign]  # between list and watch
    wait(api, "Deployment", "web", "default", condition="Available", timeout=60)
    assert calls == 2


def test_a_watch_from_a_version_that_is_gone_says_410(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment())
    fake.compact()
    with pytest.raises(ApiError) as caught:
        list(api.watch("Deployment", "default", resource_version="1", seconds=60))
    assert caught.value.status == 410


def test_goes_on_when_the_server_was_away(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment(**_rolled_out()))
    fake.fail("GET", "/deployments", 503, "apiserver not ready", times=2)
    wait(api, "Deployment", "web", "default", condition="Available", timeout=60)


def test_deleted(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment())
    with _once_watched(fake, lambda: fake.remove("Deployment", "web", "default")):
        wait(api, "Deployment", "web", "default", condition="Deleted", timeout=60)
    wait(api, "Deployment", "web", "default", condition="Deleted", timeout=60)


def test_too_late_shows_status_pods_events_and_logs(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment(replicas=1, unavailableReplicas=1))
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main"}]},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {
                        "name": "main",
                        "ready": False,
                        "restartCount": 4,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    }
                ],
            },
        }
    )
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "web-1.1", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "web-1"},
            "type": "Warning",
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
    )
    fake.logs["web-1/main/previous"] = "Traceback: no such host elasticsearch\n"
    with pytest.raises(PlatformError) as caught:
        wait(api, "Deployment", "web", "default", condition="Available", timeout=2)
    told = str(caught.value)
    assert told.startswith("Deployment default/web is not Available after 2 s")
    for part in (
        "unavailableReplicas: 1",
        "default/web-1 Running; main waiting CrashLoopBackOff restarted 4 times",
        "Warning BackOff Pod/web-1: Back-off restarting",
        "no such host elasticsearch",
    ):
        assert part in told


def test_a_kind_that_is_not_there_names_its_part(api: Api, fake: FakeApi) -> None:
    fake.groups.discard("machinelearning.seldon.io/v1")
    with pytest.raises(PlatformError, match="install seldon-core first"):
        wait(api, "SeldonDeployment", "iris", "seldon", timeout=5)


def test_a_server_that_is_not_there_says_where_it_was_looked_for(
    fake: FakeApi, tmp_path: Path
) -> None:
    fake.url = "http://127.0.0.1:9"
    (tmp_path / "nowhere").write_text(yaml.safe_dump(fake.kubeconfig()))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 does not answer"):
        Api(tmp_path / "nowhere", "test").version()


# Conditions


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),  # the status is about the spec before
        ({"replicas": 2}, False),  # an old pod is still there
        ({"updatedReplicas": 0}, False),
        ({"availableReplicas": 0}, False),
    ],
)
def test_a_deployment_is_available_when_its_rollout_is_complete(
    changed: dict[str, int], holds: bool
) -> None:
    thing = _deployment(generation=2, **{**_rolled_out(2), **changed})
    assert met(thing, "Available") is holds


def test_a_stateful_set_is_ready_when_all_pods_are_of_its_newest_revision() -> None:
    status = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1}
    revisions = {"currentRevision": "a", "updateRevision": "a"}
    thing = {**_deployment(), "kind": "StatefulSet", "status": {**status, **revisions}}
    assert met(thing, "Ready")
    assert not met({**thing, "status": {**status, **revisions, "updateRevision": "b"}}, "Ready")


def test_a_condition_about_an_older_spec_does_not_count() -> None:
    thing = {
        "kind": "Broker",
        "metadata": {"generation": 2},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert not met(thing, "Ready")
    thing["status"]["observedGeneration"] = 2  # type: ignore[index]  # a mapping, as above
    assert met(thing, "Ready")


def _seldon(*predictors: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "iris"}, "spec": {"predictors": list(predictors)}}


def _of(predictor: str, *, shadow: bool = False) -> dict[str, Any]:
    thing = _deployment(f"iris-{predictor}-0-classifier", **_rolled_out())
    labels = thing["spec"]["template"]["metadata"]["labels"]
    labels["seldon-app"] = f"iris-{predictor}"
    if shadow:
        labels["seldon.io/shadow"] = "true"
    return thing


def test_a_seldon_deployment_is_ready_when_its_deployments_are_those_of_its_spec() -> None:
    one, other = {"name": "logistic"}, {"name": "perceptron", "shadow": True}
    assert is_reconciled(_seldon(one), [_of("logistic")])
    assert not is_reconciled(_seldon(one, other), [_of("logistic")])  # not made yet
    assert is_reconciled(_seldon(one, other), [_of("logistic"), _of("perceptron", shadow=True)])
    swapped = _seldon({"name": "perceptron"}, {"name": "logistic", "shadow": True})
    assert not is_reconciled(swapped, [_of("logistic"), _of("perceptron", shadow=True)])
    assert not is_reconciled(_seldon(one), [_of("logistic"), _of("perceptron")])  # not gone yet
    longer = {"name": "logistic-2"}
    assert not is_reconciled(_seldon(one, longer), [_of("logistic-2")])


@pytest.mark.parametrize("condition", ["available", "READY", "Available"])
def test_letter_case_does_not_tell_conditions_apart(condition: str) -> None:
    assert met(_deployment(**_rolled_out()), condition)
    eventing = {"kind": "Broker", "metadata": {}, "status": {"conditions": [_TRUE]}}
    assert met(eventing, "ready")


_TRUE = {"type": "Ready", "status": "True"}


def test_a_condition_that_a_kind_has_not_is_an_error_at_once(api: Api, fake: FakeApi) -> None:
    fake.put(_deployment())
    with pytest.raises(PlatformError) as caught:
        wait(api, "Deployment", "web", "default", condition="Redy", timeout=60)
    assert str(caught.value) == (
        "a Deployment has no condition Redy: name one of Available, Ready, Progressing, Deleted"
    )
    with pytest.raises(PlatformError, match="a ConfigMap has no conditions: only Deleted"):
        wait(api, "ConfigMap", "none", "default", timeout=60)


def test_a_condition_that_is_in_the_status_is_known(api: Api, fake: FakeApi) -> None:
    status = {"conditions": [{"type": "FilterReady", "status": "True"}]}
    broker = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "status": status}
    fake.put({**broker, "metadata": {"name": "default", "namespace": "default"}})
    assert wait(api, "Broker", "default", "default", condition="filterready", timeout=60)


def test_what_is_not_there_is_told_from_what_is_not_ready(api: Api, fake: FakeApi) -> None:
    with pytest.raises(PlatformError, match="web is not there after 0 s: apply it"):
        wait(api, "Deployment", "web", "default", timeout=0)
    fake.put(_deployment())
    with pytest.raises(PlatformError, match="web is still there after 0 s: see its status"):
        wait(api, "Deployment", "web", "default", condition="deleted", timeout=0)


def test_a_server_that_stays_away_is_the_error(api: Api, fake: FakeApi) -> None:
    fake.fail("GET", "/deployments", 503, "apiserver not ready", times=99)
    with pytest.raises(ApiError, match="apiserver not ready"):
        wait(api, "Deployment", "web", "default", timeout=0)
