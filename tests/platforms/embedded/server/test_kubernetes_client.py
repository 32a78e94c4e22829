"""The official Python client, unchanged, on the embedded platform."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from closedloop.notebook.waiting import until
from tests.platforms import echo

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.timeout(300),
]
NAMESPACE = "default"


@pytest.fixture(scope="module")
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(kubeconfig), persist_config=False) as one:
        yield one


@pytest.fixture(scope="module")
def dynamic(api: client.ApiClient, tmp_path_factory: pytest.TempPathFactory) -> DynamicClient:
    return DynamicClient(api, cache_file=str(tmp_path_factory.mktemp("kinds") / "cache"))


@pytest.fixture
def core(api: client.ApiClient) -> Any:
    """Of type Any: in the client's types everything may be None."""
    return client.CoreV1Api(api)


@pytest.fixture
def config_map(core: Any) -> Iterator[Any]:
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="made-"), data={"a": "1"})
    made = core.create_namespaced_config_map(NAMESPACE, body)
    yield made
    core.delete_namespaced_config_map(made.metadata.name, NAMESPACE)


def test_a_name_is_made_from_its_beginning(config_map: Any) -> None:
    assert config_map.metadata.name.startswith("made-")
    assert config_map.metadata.uid
    assert config_map.metadata.creation_timestamp.tzinfo


def test_an_older_version_is_not_written_over_a_newer(core: Any, config_map: Any) -> None:
    name = config_map.metadata.name
    newer = core.patch_namespaced_config_map(name, NAMESPACE, {"data": {"b": "2"}})
    assert newer.data == {"a": "1", "b": "2"}
    with pytest.raises(ApiException) as refused:
        core.replace_namespaced_config_map(name, NAMESPACE, config_map)
    assert refused.value.status == 409
    newer.data = {"c": "3"}
    assert core.replace_namespaced_config_map(name, NAMESPACE, newer).data == {"c": "3"}


def test_what_is_there_is_not_made_again(core: Any, config_map: Any) -> None:
    again = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=config_map.metadata.name))
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_config_map(NAMESPACE, again)
    assert (refused.value.status, "AlreadyExists" in str(refused.value.body)) == (409, True)


def test_only_the_object_that_is_meant_is_deleted(core: Any, config_map: Any) -> None:
    other = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    with pytest.raises(ApiException) as refused:
        core.delete_namespaced_config_map(config_map.metadata.name, NAMESPACE, body=other)
    assert refused.value.status == 409


def test_a_namespace_is_needed_and_takes_all_that_is_in_it_with_it(core: Any) -> None:
    inside = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="inside"))
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_config_map("away", inside)
    assert refused.value.status == 404
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="away")))
    core.create_namespaced_config_map("away", inside)
    core.delete_namespace("away")

    def names() -> set[str]:
        return {one.metadata.name for one in core.list_namespace().items}

    until(names, lambda found: "away" not in found, what="the namespace to go", timeout=60)
    assert not core.list_config_map_for_all_namespaces(field_selector="metadata.name=inside").items


def test_a_watch_tells_of_what_is_selected(core: Any, config_map: Any) -> None:
    since = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    name = config_map.metadata.name
    changes: list[tuple[str, Any]] = []

    def follow() -> None:
        for event in watch.Watch().stream(
            core.list_namespaced_config_map,
            NAMESPACE,
            label_selector="chosen=yes",
            resource_version=since,
            timeout_seconds=60,
        ):
            changes.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    following = threading.Thread(target=follow)
    following.start()
    for label in ("yes", "no"):
        core.patch_namespaced_config_map(name, NAMESPACE, {"data": {"a": label}})
        core.patch_namespaced_config_map(
            name, NAMESPACE, {"metadata": {"labels": {"chosen": label}}}
        )
    following.join(60)
    assert changes == [("ADDED", name), ("MODIFIED", name), ("DELETED", name)]


def test_a_version_that_is_not_known_any_more_is_expired(core: Any) -> None:
    with pytest.raises(ApiException) as refused:
        next(
            watch.Watch().stream(
                core.list_namespaced_config_map, NAMESPACE, resource_version="999999999"
            )
        )
    assert refused.value.status == 410


def test_a_whole_list_is_the_beginning_of_a_watch(core: Any, config_map: Any) -> None:
    stream = watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, timeout_seconds=1)
    assert config_map.metadata.name in {event["object"].metadata.name for event in stream}


def test_kinds_of_parts_are_found(dynamic: DynamicClient) -> None:
    seldon = dynamic.resources.get(
        api_version="machinelearning.seldon.io/v1", kind="SeldonDeployment"
    )
    assert (seldon.name, seldon.namespaced) == ("seldondeployments", True)
    assert dynamic.get(seldon, namespace=NAMESPACE).items == []


def test_applying_owns_fields(dynamic: DynamicClient) -> None:
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    thing = echo.deployment("owned", replicas=0)
    made = dynamic.server_side_apply(deployments, thing, field_manager="me")
    assert made.metadata.managedFields[0].manager == "me"
    try:
        thing["spec"]["replicas"] = 1
        with pytest.raises(ApiException) as refused:
            dynamic.server_side_apply(deployments, thing, field_manager="you")
        assert refused.value.status == 409
        taken = dynamic.server_side_apply(
            deployments, thing, field_manager="you", force_conflicts=True
        )
        assert (taken.spec.replicas, taken.metadata.generation) == (1, 2)
    finally:
        dynamic.delete(deployments, "owned", NAMESPACE)


def test_a_killed_pod_is_replaced(api: client.ApiClient, core: Any) -> None:
    apps: Any = client.AppsV1Api(api)
    apps.create_namespaced_deployment(NAMESPACE, echo.deployment("killed"))
    try:

        def pods() -> dict[str, bool]:
            found = core.list_namespaced_pod(NAMESPACE, label_selector="app=killed").items
            return {
                pod.metadata.name: all(one.ready for one in pod.status.container_statuses or ())
                for pod in found
            }

        (first,) = until(pods, lambda found: any(found.values()), what="a ready pod", timeout=60)
        core.delete_namespaced_pod(first, NAMESPACE, grace_period_seconds=0)
        until(
            pods,
            lambda found: first not in found and any(found.values()),
            what="another pod",
            timeout=60,
        )
        container = core.list_namespaced_pod(NAMESPACE, label_selector="app=killed").items[0]
        assert container.status.container_statuses[0].restart_count == 0
    finally:
        apps.delete_namespaced_deployment("killed", NAMESPACE)


def test_whoever_has_the_token_may_do_everything(api: client.ApiClient) -> None:
    attributes = client.V1ResourceAttributes(verb="delete", resource="pods")
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    )
    answer: Any = client.AuthorizationV1Api(api).create_self_subject_access_review(review)
    assert answer.status.allowed


def test_without_the_token_nothing_is_answered(kubeconfig: Path) -> None:
    configuration = client.Configuration()
    config.load_kube_config(
        str(kubeconfig), client_configuration=configuration, persist_config=False
    )
    configuration.api_key = {"authorization": "Bearer another"}
    configuration.refresh_api_key_hook = None
    with client.ApiClient(configuration) as stranger, pytest.raises(ApiException) as refused:
        client.CoreV1Api(stranger).list_namespace()
    assert refused.value.status == 401


def test_the_kubeconfig_is_for_this_user_alone(kubeconfig: Path) -> None:
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
