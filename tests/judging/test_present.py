"""Since when the present pair answers, from what an API server says of the objects."""

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from closedloop.judging.present import ANNOTATION, Present, annotated, present_pair
from closedloop.platforms.protocol import Object, Platform, PlatformError

MADE, CHANGED = "2026-05-01T08:00:00Z", "2026-05-01T10:00:00Z"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def rollout(
    completed: str = "2026-05-01T10:00:30Z",
    *,
    reason: str = "NewReplicaSetAvailable",
    revision: int = 2,
    grace: int | None = 20,
) -> dict[str, Any]:
    """A predictor's Deployment, as Kubernetes keeps it."""
    pod = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    return {
        "metadata": {
            "creationTimestamp": MADE,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"template": {"spec": pod}},
        "status": {
            "conditions": [
                {"type": "Available", "status": "True", "lastUpdateTime": "2026-05-01T23:00:00Z"},
                {
                    "type": "Progressing",
                    "status": "True",
                    "reason": reason,
                    "lastUpdateTime": completed,
                },
            ]
        },
    }


class Server:
    """The objects that `get` finds: a SeldonDeployment, and the Deployments of its predictors."""

    def __init__(self, **deployments: dict[str, Any]) -> None:
        self.deployments = deployments
        self.seldon: dict[str, Any] = {
            "kind": "SeldonDeployment",
            "metadata": {
                "name": "iris-perf",
                "namespace": "seldon",
                "generation": 3,
                "creationTimestamp": MADE,
                "managedFields": [
                    {"manager": "kubectl", "operation": "Update", "time": CHANGED},
                    {
                        "manager": "operator",
                        "subresource": "status",
                        "time": "2026-05-01T22:00:00Z",
                    },
                ],
            },
            "spec": {"predictors": []},
            "status": {"deploymentStatus": {name: {"replicas": 1} for name in deployments}},
        }

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        if (kind, namespace, name) == ("SeldonDeployment", "seldon", "iris-perf"):
            return copy.deepcopy(self.seldon)
        if kind == "Deployment" and namespace == "seldon" and name in self.deployments:
            return self.deployments[name]
        raise PlatformError(f"there is no {kind} {namespace}/{name}: apply it first")

    def since(self) -> Present:
        return present_pair(cast(Platform, self), "seldon", "iris-perf")


def test_since_the_last_rollout_of_the_two_was_complete_and_old_pods_are_gone() -> None:
    server = Server(one=rollout("2026-05-01T10:00:30Z"), two=rollout("2026-05-01T11:30:00Z"))
    assert server.since().since == moment("2026-05-01T11:30:20Z")
    assert server.since().sentence == (
        "Rows asked since 2026-05-01T11:30:20Z count:"
        " since then both predictors have their present models."
    )
    assert server.since().period.since == moment("2026-05-01T11:30:20Z")


def test_a_deployment_that_never_had_another_template_counts_from_its_creation() -> None:
    server = Server(one=rollout("2026-05-01T12:00:00Z", revision=1))
    server.seldon["metadata"]["managedFields"] = []
    assert server.since().since == moment(MADE) + timedelta(seconds=20)


def test_what_a_real_cluster_said_after_two_swaps() -> None:
    """Kubernetes 1.35.4 and the operator of Seldon Core 1.17.1; only what is looked at."""
    server = Server(
        **{
            "iris-perf-logistic-0-classifier": rollout("2026-11-27T11:03:11Z", revision=3),
            "iris-perf-perceptron-0-classifier": rollout("2026-11-27T11:03:05Z", revision=3),
        }
    )
    server.seldon["metadata"].update(
        creationTimestamp="2026-11-27T10:58:33Z",
        managedFields=[
            {"manager": "closedloop", "operation": "Apply", "time": "2026-11-27T11:02:33Z"},
            {"manager": "manager", "subresource": "status", "time": "2026-11-27T11:03:11Z"},
        ],
    )
    assert server.since().since == moment("2026-11-27T11:03:31Z")


def test_a_change_that_the_operator_has_not_seen_yet_starts_anew() -> None:
    server = Server(one=rollout("2026-05-01T09:00:00Z"))
    assert server.since().since == moment(CHANGED)


def test_nothing_counts_while_pods_are_being_replaced() -> None:
    server = Server(one=rollout(), two=rollout(reason="ReplicaSetUpdated"))
    before = datetime.now(UTC)
    since = server.since()
    assert since.since is not None
    assert before <= since.since <= datetime.now(UTC)
    assert "the pods of two are being replaced" in since.sentence


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_rollout_that_does_not_get_on_is_not_complete(status: str) -> None:
    stuck = rollout(reason="ProgressDeadlineExceeded")
    stuck["status"]["conditions"][1]["status"] = status
    assert "are being replaced" in Server(one=stuck).since().sentence


def test_deployments_that_cannot_be_read_leave_the_last_change_of_the_object() -> None:
    server = Server(one=rollout())
    server.deployments.clear()
    assert server.since().since == moment(CHANGED)
    assert "seldon/iris-perf was changed last" in server.since().sentence
    del server.seldon["metadata"]["managedFields"]
    assert server.since().since == moment(MADE)


def test_where_nothing_tells_all_rows_count_and_the_sentence_says_so() -> None:
    silent = rollout()
    silent["metadata"], silent["status"]["conditions"] = {}, [{"type": "Available"}]
    server = Server(one=silent)
    server.seldon["metadata"] = {"name": "iris-perf", "namespace": "seldon"}
    assert server.since().since is None
    assert server.since().period.filters() == []
    assert server.since().sentence == (
        "Rows of all times count: the platform does not say since when both have their present"
        " models; if one was replaced, say since when."
    )


def test_an_object_that_is_not_there_is_an_error() -> None:
    with pytest.raises(PlatformError, match="there is no SeldonDeployment seldon/other"):
        present_pair(cast(Platform, Server()), "seldon", "other")


def promoted(server: Server) -> None:
    """Apply what a promotion applies, as an API server takes it."""
    before = server.get("SeldonDeployment", "iris-perf", "seldon")
    after = annotated(before, before, server.since())
    server.seldon = copy.deepcopy(dict(after))
    change(server)


def change(server: Server) -> None:
    """Change the spec now: a new generation, and every pod is replaced."""
    server.seldon["metadata"]["generation"] += 1
    server.deployments = {name: rollout("2026-05-02T10:00:00Z") for name in server.deployments}


def test_a_promotion_keeps_the_pair_and_so_the_evidence() -> None:
    server = Server(one=rollout(), two=rollout())
    first = server.since().since
    for _ in range(3):
        promoted(server)
        assert server.since().since == first
    assert "a promotion swapped the roles of the same two models" in server.since().sentence


def test_a_change_after_a_promotion_starts_anew() -> None:
    server = Server(one=rollout(), two=rollout())
    promoted(server)
    change(server)  # by kubectl, which leaves the annotation where it is
    assert ANNOTATION in server.seldon["metadata"]["annotations"]
    assert server.since().since == moment("2026-05-02T10:00:20Z")


def test_a_change_at_the_same_time_as_a_promotion_starts_anew() -> None:
    server = Server(one=rollout(), two=rollout())
    before = server.get("SeldonDeployment", "iris-perf", "seldon")
    change(server)
    server.seldon = {**dict(annotated(before, before, server.since()))}
    server.seldon["metadata"]["generation"] = 5
    assert server.since().since == moment("2026-05-02T10:00:20Z")


@pytest.mark.parametrize("written", ["", "yesterday", "[]", '{"since": "yesterday"}', "null"])
def test_an_annotation_that_says_nothing_is_no_obstacle(written: str) -> None:
    server = Server(one=rollout())
    server.seldon["metadata"]["annotations"] = {ANNOTATION: written}
    assert server.since().since == moment("2026-05-01T10:00:50Z")


def test_other_annotations_stay_and_unknown_is_not_written() -> None:
    server = Server(one=rollout())
    before = server.seldon
    before["metadata"]["annotations"] = {"owner": "ada"}
    after: Object = annotated(before, before, server.since())
    metadata = cast(Mapping[str, Any], after["metadata"])
    assert metadata["annotations"]["owner"] == "ada"
    assert json.loads(metadata["annotations"][ANNOTATION]) == {
        "since": "2026-05-01T10:00:50Z",
        "generation": 4,
    }
    assert annotated(before, before, Present(None, "")) == before
    assert before["metadata"]["annotations"] == {"owner": "ada"}
