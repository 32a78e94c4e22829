"""The same calls against a real API server, an old one without controllers included."""

import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from closedloop.manifests import Manifest
from closedloop.platforms.client import api as api_module
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.cluster.applying import ClusterApplier
from closedloop.platforms.cluster.inventory import Inventory, Made
from closedloop.platforms.cluster.removing import remove
from closedloop.platforms.protocol import PlatformError

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def name(api: Api) -> Iterator[str]:
    """Of an object that is gone afterwards."""
    name = f"closedloop-test-{uuid.uuid4().hex[:8]}"
    yield name
    api.delete("ConfigMap", name, "default")
    Inventory(api).remove([Made(name, "default", "ConfigMap", "v1")])


@pytest.fixture
def applier(api: Api) -> ClusterApplier:
    return ClusterApplier(api, Inventory(api))


def _config(name: str, **data: str) -> Manifest:
    metadata = {"name": name, "namespace": "default"}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return Manifest("test.yaml", document)


def test_applies_takes_back_and_forgets_fields(
    api: Api, applier: ClusterApplier, name: str
) -> None:
    assert applier.apply([_config(name, a="1", b="2")]) == [f"ConfigMap/{name} created"]
    assert applier.apply([_config(name, a="1", b="2")]) == [f"ConfigMap/{name} unchanged"]
    api.merge("ConfigMap", name, "default", {"data": {"a": "theirs", "c": "3"}})
    assert applier.apply([_config(name, a="1")]) == [f"ConfigMap/{name} configured"]
    found = api.get("ConfigMap", name, "default")
    assert found is not None
    assert found["data"] == {"a": "1", "c": "3"}


def test_a_conflict_is_refused_without_force(api: Api, name: str) -> None:
    api.create(_config(name, a="1").document)
    api.merge("ConfigMap", name, "default", {"data": {"a": "2"}})
    theirs = {**_config(name, a="3").document}
    real, api_module.FIELD_MANAGER = api_module.FIELD_MANAGER, "another"
    try:
        with pytest.raises(ApiError, match="conflict") as caught:
            api.apply(theirs, force=False)
    finally:
        api_module.FIELD_MANAGER = real
    assert caught.value.status == 409


def test_an_object_of_others_is_not_changed(api: Api, applier: ClusterApplier, name: str) -> None:
    api.create(_config(name, a="theirs").document)
    with pytest.raises(PlatformError, match="is not ours"):
        applier.apply([_config(name, a="ours")])
    found = api.get("ConfigMap", name, "default")
    assert found is not None
    assert found["data"] == {"a": "theirs"}
    assert "left alone" in applier.apply([_config(name, a="theirs")])[0]
    assert remove(api, Made(name, "default", "ConfigMap", "v1")) == "left alone, it is not ours"


def test_a_watch_sees_what_happens(api: Api, name: str) -> None:
    _, version = api.list("ConfigMap", "default", fields=f"metadata.name={name}")
    threading.Timer(0.2, lambda: api.create(_config(name).document)).start()
    (kind, thing) = next(
        api.watch(
            "ConfigMap",
            "default",
            resource_version=version,
            seconds=60,
            fields=f"metadata.name={name}",
        )
    )
    assert (kind, thing["metadata"]["name"]) == ("ADDED", name)


def test_waits_for_the_end_of_an_object(api: Api, name: str) -> None:
    api.create(_config(name).document)
    real = api.list

    def listed(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        api.delete("ConfigMap", name, "default", grace=0)
        return result

    api.list = listed  # type: ignore[method-assign]  # between list and watch
    found: dict[str, Any] = wait(api, "ConfigMap", name, "default", condition="Deleted", timeout=60)
    assert found["metadata"]["name"] == name


def test_an_object_made_anew_is_not_deleted_for_its_predecessor(api: Api, name: str) -> None:
    api.create(_config(name).document)
    assert not api.delete("ConfigMap", name, "default", uid="another")
    assert api.get("ConfigMap", name, "default") is not None


def test_asks_for_rights(api: Api) -> None:
    assert api.allowed("get", "", "configmaps", "default")
    assert api.version().startswith("v1.")
