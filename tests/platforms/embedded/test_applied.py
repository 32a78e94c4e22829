import pytest

from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.embedded.applied import merged, without


def _object(kind: str, name: str, namespace: str = "ns", **fields: object) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if kind != "Namespace" else {})
    return Manifest("a.yaml", {"kind": kind, "metadata": metadata, **fields})


NAMESPACE = _object("Namespace", "ns")


def test_each_object_is_created_configured_or_unchanged() -> None:
    objects, happened = merged({}, [NAMESPACE, _object("Service", "a")], set())
    assert happened == ["Namespace/ns created", "Service/a created"]
    _, happened = merged(objects, [NAMESPACE, _object("Service", "a", spec={})], set())
    assert happened == ["Namespace/ns unchanged", "Service/a configured"]


def test_kind_of_a_part_that_is_not_installed_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml: Trigger ns/t: .*install knative-eventing"):
        merged({}, [NAMESPACE, _object("Trigger", "t")], {"istio"})
    merged({}, [NAMESPACE, _object("Trigger", "t")], {"knative-eventing"})


def test_namespace_that_is_not_there_is_refused() -> None:
    with pytest.raises(ManifestError, match="there is no namespace ns: apply namespaces first"):
        merged({}, [_object("Service", "a")], set())
    merged({}, [_object("Service", "a", "monitoring")], {"monitoring"})
    merged({}, [_object("Service", "a", "default")], set())


def test_namespace_takes_its_objects_with_it() -> None:
    objects, _ = merged(
        {}, [NAMESPACE, _object("Service", "a"), _object("Service", "b", "default")], set()
    )
    assert list(without(objects, ["Namespace/ns"])) == ["Service/default/b"]
    assert list(without(objects, ["Service/ns/a"])) == ["Namespace/ns", "Service/default/b"]
