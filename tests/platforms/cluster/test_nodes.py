from typing import Any

import pytest

from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster import kind
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.fake_api import FakeApi


def _node(ready: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    metadata = {"name": "control-plane"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "status": {"conditions": conditions},
    }


def _pod(name: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "seldon"},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def test_a_node_that_is_not_ready_is_no_cluster(
    api: Api, fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "_READY", 0.1)
    fake.put(_node("False"))
    with pytest.raises(PlatformError, match="Node control-plane is not Ready"):
        kind.await_nodes(api)
    fake.put(_node("True"))
    kind.await_nodes(api)


def test_pods_of_an_image_that_changed_are_replaced_and_no_others(api: Api, fake: FakeApi) -> None:
    fake.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "seldon"}})
    for name, image in (("old", "a:1"), ("other", "b:1")):
        fake.put(_pod(name, image))
    kind.replace_pods(api, ["seldon"], {"a:1"})
    assert fake.get("Pod", "old", "seldon") is None
    assert fake.get("Pod", "other", "seldon") is not None
