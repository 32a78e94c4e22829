from typing import Any

import pytest

from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi


def _has_class(fake: FakeApi, *, default: str, provisioner: str = "rancher.io/local-path") -> None:
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    metadata = {"name": "standard", "annotations": annotations}
    made = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata}
    fake.put({**made, "provisioner": provisioner})


def _data(fake: FakeApi) -> dict[str, Any]:
    """Where the StatefulSet has its data."""
    made = fake.get("StatefulSet", "elasticsearch", "seldon-logs")
    assert made is not None
    volumes = made["spec"]["template"]["spec"]["volumes"]
    (data,) = (one for one in volumes if one["name"] == "data")
    return {name: value for name, value in data.items() if name != "name"}


def test_the_log_has_a_claim_where_there_is_a_default_class(on_kind: Open, fake: FakeApi) -> None:
    _has_class(fake, default="true")
    on_kind().install("elasticsearch")
    assert _data(fake) == {"persistentVolumeClaim": {"claimName": "elasticsearch-data"}}
    assert fake.names("PersistentVolumeClaim") == {"elasticsearch-data"}


@pytest.mark.parametrize("default", ["false", None])
def test_without_a_default_class_it_lies_in_the_pod(
    on_kind: Open, fake: FakeApi, default: str | None
) -> None:
    if default:
        _has_class(fake, default=default)
    on_kind().install("elasticsearch")
    assert _data(fake) == {"emptyDir": {"sizeLimit": "4Gi"}}
    assert fake.names("PersistentVolumeClaim") == set()


def test_volumes_that_are_roots_alone_are_not_taken(on_kind: Open, fake: FakeApi) -> None:
    _has_class(fake, default="true", provisioner="kubernetes.io/host-path")
    on_kind().install("elasticsearch")
    assert _data(fake) == {"emptyDir": {"sizeLimit": "4Gi"}}


@pytest.mark.parametrize(("setting", "claims"), [("pod", set()), ("claim", {"elasticsearch-data"})])
def test_the_setting_says_it_whatever_the_cluster_has(
    on_kind: Open,
    fake: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    claims: set[str],
) -> None:
    _has_class(fake, default="true" if setting == "pod" else "false")
    monkeypatch.setenv("CLOSEDLOOP_STORAGE", setting)
    on_kind().install("elasticsearch")
    assert fake.names("PersistentVolumeClaim") == claims


def test_another_setting_is_refused(on_kind: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEDLOOP_STORAGE", "disk")
    with pytest.raises(PlatformError, match="CLOSEDLOOP_STORAGE is 'disk': set it to claim or pod"):
        on_kind().install("elasticsearch")
