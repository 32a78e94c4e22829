from types import SimpleNamespace
from typing import Any

import pytest

from closedloop.platforms.embedded.server.mirror import status


def _pod(*, ready: bool = True, was_ready: bool | None = None, restarts: int = 0) -> Any:
    return SimpleNamespace(
        name="pod",
        ready=ready,
        was_ready=ready if was_ready is None else was_ready,
        restarts=restarts,
        draining=False,
        reason="" if ready else "exited with status 1",
    )


def _workload(
    *pods: Any,
    wanted: int = 1,
    updated: int | None = None,
    waits_for: tuple[str, ...] = (),
    rolled_out: str = "",
) -> Any:
    new = list(pods[: len(pods) if updated is None else updated])
    return SimpleNamespace(
        name="ns/a",
        target=(None,) * wanted,
        pods=list(pods),
        updated=new,
        waits_for=waits_for,
        rolled_out=rolled_out,
        settled=len(pods) == len(new) == wanted and all(pod.ready for pod in pods),
    )


def _has(now: Any, kind: str) -> bool:
    return any(one["type"] == kind and one["status"] == "True" for one in now["conditions"])


def test_deployment_is_available_by_its_new_pods_alone() -> None:
    assert _has(status.of_deployment(1, _workload(_pod())), "Available")
    only_old = _workload(_pod(), updated=0)
    assert not _has(status.of_deployment(1, only_old), "Available")


def test_deployment_says_why_it_is_not_available() -> None:
    now: Any = status.of_deployment(1, _workload(_pod(ready=False)))
    assert now["conditions"][0]["message"] == "pod: exited with status 1"
    now = status.of_deployment(1, None, ["Secret s does not exist"])
    assert now["conditions"][0]["message"] == "Secret s does not exist"


def test_what_keeps_a_pod_from_starting_is_said() -> None:
    waiting = _workload(waits_for=("volume v: ConfigMap ns/c not found",))
    deployment: Any = status.of_deployment(1, waiting)
    seldon: Any = status.of_seldon_deployment([waiting], routed=False, address="http://a")
    assert seldon["description"] == "volume v: ConfigMap ns/c not found"
    for now in (deployment, seldon):
        assert now["conditions"][0]["message"] == "volume v: ConfigMap ns/c not found"


def test_deployment_says_since_when_it_is_rolled_out() -> None:
    starting: Any = status.of_deployment(1, _workload(_pod(ready=False)))
    assert starting["conditions"][1]["status"] == "False"
    done = _workload(_pod(ready=False), rolled_out="2026-05-01T10:00:00Z")  # a pod starts again
    assert status.of_deployment(1, done)["conditions"][1] == {
        "type": "Progressing",
        "status": "True",
        "reason": "NewReplicaSetAvailable",
        "lastUpdateTime": "2026-05-01T10:00:00Z",
    }


def test_deployment_without_replicas_is_available() -> None:
    assert _has(status.of_deployment(0, None), "Available")


@pytest.mark.parametrize(
    ("pod", "routed", "state"),
    [
        (_pod(), True, "Available"),
        (_pod(), False, "Creating"),
        (_pod(ready=False), False, "Creating"),
        (_pod(ready=False, restarts=9), False, "Failed"),
        (_pod(ready=False, was_ready=True, restarts=9), True, "Creating"),
    ],
)
def test_state_of_a_seldon_deployment(pod: Any, routed: bool, state: str) -> None:
    now = status.of_seldon_deployment([_workload(pod)], routed=routed, address="http://a")
    assert now["state"] == state
    assert _has(now, "Ready") == (state == "Available")


def test_seldon_deployment_whose_route_envoy_refused_says_so() -> None:
    now: Any = status.of_seldon_deployment(
        [_workload(_pod())], routed=True, address="http://a", refusal="Envoy refused lds.json"
    )
    assert not _has(now, "Ready")
    assert now["conditions"][-1]["message"] == now["description"] == "Envoy refused lds.json"


def test_seldon_deployment_without_workload_is_not_ready() -> None:
    now = status.of_seldon_deployment(
        [], routed=True, address="", problems=["Gateway g is missing"]
    )
    assert not _has(now, "Ready")
    assert now["description"] == "Gateway g is missing"
    assert now["state"] == "Failed"
