"""Errors have the texts that API servers and webhooks of the pinned versions give."""

import base64
from typing import Any

import pytest

from closedloop.manifests import Manifest
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError
from closedloop.platforms.cluster.applying import GENERATE, ClusterApplier
from closedloop.platforms.cluster.inventory import LABEL, VALUE, Inventory, Made
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.fake_api import FakeApi

WEBHOOK = (
    'Internal error occurred: failed calling webhook "webhook.eventing.knative.dev": failed to call'
    ' webhook: Post "https://eventing-webhook.knative-eventing.svc:443/defaulting?timeout=2s":'
    " dial tcp 10.96.8.12:443: connect: connection refused"
)
SELDON = (
    'Internal error occurred: failed calling webhook "v1.vseldondeployment.kb.io": failed to call'
    ' webhook: Post "https://seldon-webhook-service.seldon-system.svc:443/validate?timeout=30s":'
    " dial tcp 10.96.1.2:443: connect: connection refused"
)
NO_ENDPOINTS = (
    'Internal error occurred: failed calling webhook "validation.istio.io": failed to call webhook:'
    ' Post "https://istiod.istio-system.svc:443/validate?timeout=10s": no endpoints available for'
    ' service "istiod"'
)
UNKNOWN_AUTHORITY = (
    'Internal error occurred: failed calling webhook "v1.vseldondeployment.kb.io": failed to call'
    ' webhook: Post "https://seldon-webhook-service.seldon-system.svc:443/validate?timeout=30s":'
    " tls: failed to verify certificate: x509: certificate signed by unknown authority"
)
MODIFIED = (
    'Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply'
    " your changes to the latest version and try again"
)


@pytest.fixture
def applier(api: Api) -> ClusterApplier:
    return ClusterApplier(api, Inventory(api), patience=60)


def _config(name: str = "one", **data: str) -> Manifest:
    return Manifest("test.yaml", _thing("ConfigMap", name, data=data))


def _thing(kind: str, name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def test_created_unchanged_configured(applier: ClusterApplier) -> None:
    assert applier.apply([_config(a="1")]) == ["ConfigMap/one created"]
    assert applier.apply([_config(a="1")]) == ["ConfigMap/one unchanged"]
    assert applier.apply([_config(a="2")]) == ["ConfigMap/one configured"]


def test_what_is_no_longer_asked_for_goes(applier: ClusterApplier, fake: FakeApi) -> None:
    applier.apply([_config(a="1", b="2")])
    applier.apply([_config(a="1")])
    found = fake.get("ConfigMap", "one", "default")
    assert found is not None
    assert found["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, WEBHOOK),
        (500, SELDON),
        (500, NO_ENDPOINTS),
        (500, UNKNOWN_AUTHORITY),
        (409, MODIFIED),
        (429, "Too many requests, please try again later."),
        (503, "apiserver not ready"),
        (500, "etcdserver: leader changed"),
    ],
)
def test_tries_again_what_passes_by_itself(
    applier: ClusterApplier, api: Api, fake: FakeApi, status: int, message: str
) -> None:
    for name in ("eventing-webhook", "seldon-webhook-service", "istiod"):
        fake.put(_endpoints(name))
    fake.fail("PATCH", "configmaps/one", status, message, times=2)
    assert applier.apply([_config(a="1")]) == ["ConfigMap/one created"]
    assert len([each for each in fake.requests if each.method == "PATCH"]) == 3


def test_waits_for_the_webhooks_endpoint(applier: ClusterApplier, fake: FakeApi) -> None:
    fake.fail("PATCH", "configmaps/one", 500, WEBHOOK)
    fake.put(_endpoints("eventing-webhook"))
    applier.apply([_config(a="1")])
    asked = [each for each in fake.requests if each.path.endswith("/endpointslices")]
    assert asked[0].query["labelSelector"] == "kubernetes.io/service-name=eventing-webhook"


@pytest.mark.parametrize(
    "message",
    [
        'admission webhook "v1.vseldondeployment.kb.io" denied the request: No logger mode',
        "ConfigMap in version v1 cannot be handled: strict decoding error: unknown field",
    ],
)
def test_a_refusal_is_an_error_at_once(
    applier: ClusterApplier, fake: FakeApi, message: str
) -> None:
    fake.fail("PATCH", "configmaps/one", 400, message, times=9)
    with pytest.raises(ApiError, match=message[:30]):
        applier.apply([_config(a="1")])
    assert len([each for each in fake.requests if each.method == "PATCH"]) == 1


def test_gives_up_with_the_servers_words(api: Api, fake: FakeApi) -> None:
    fake.fail("PATCH", "configmaps/one", 429, "Too many requests", times=99)
    with pytest.raises(ApiError, match="Too many requests"):
        ClusterApplier(api, Inventory(api), patience=0.3).apply([_config(a="1")])


def test_waits_until_a_namespace_is_gone(applier: ClusterApplier, fake: FakeApi) -> None:
    fake.fail(
        "PATCH",
        "configmaps/one",
        403,
        'configmaps "one" is forbidden: unable to create new content in namespace gone because it'
        " is being terminated",
    )
    assert applier.apply([_config(a="1")]) == ["ConfigMap/one created"]
    asked = [each.query.get("fieldSelector") for each in fake.requests]
    assert "metadata.name=gone" in asked


def test_takes_fields_of_our_objects_back(applier: ClusterApplier, api: Api, fake: FakeApi) -> None:
    applier.apply([_config(a="1")])
    api.merge("ConfigMap", "one", "default", {"data": {"a": "2"}})
    assert applier.apply([_config(a="1")]) == ["ConfigMap/one configured"]


def test_an_object_of_others_that_differs_is_not_changed(
    applier: ClusterApplier, fake: FakeApi
) -> None:
    theirs = fake.put(_thing("ConfigMap", "one", data={"a": "theirs"}))
    with pytest.raises(PlatformError, match=f"kubectl label configmap one .* {LABEL}={VALUE}"):
        applier.apply([_config(a="ours")])
    assert fake.get("ConfigMap", "one", "default") == theirs


def test_an_object_of_others_that_is_as_asked_is_used(
    applier: ClusterApplier, fake: FakeApi
) -> None:
    theirs = fake.put(_thing("ConfigMap", "one", data={"a": "1"}))
    assert applier.apply([_config(a="1")]) == ["ConfigMap/one left alone, it is not ours"]
    assert fake.get("ConfigMap", "one", "default") == theirs


def test_upstreams_object_of_others_is_used_as_it_is(
    applier: ClusterApplier, fake: FakeApi
) -> None:
    theirs = fake.put(_thing("ConfigMap", "one", data={"a": "theirs"}))
    applier.apply([_config(a="ours")], upstream=True)
    assert fake.get("ConfigMap", "one", "default") == theirs


def test_what_is_made_is_in_the_inventory_and_nothing_else(
    applier: ClusterApplier, api: Api, fake: FakeApi
) -> None:
    fake.put(_thing("ConfigMap", "theirs", data={"a": "1"}))
    applier.apply([_config("theirs", a="1"), _config("ours", a="1")])
    assert Inventory(api).made() == [Made("ours", "default", "ConfigMap", "v1")]


def test_two_writers_of_the_inventory_lose_nothing(api: Api, fake: FakeApi) -> None:
    one, other = Inventory(api), Inventory(api)
    one.add([Made("a", "default")])
    fake.fail("PUT", "closedloop-inventory", 409, MODIFIED, times=2)
    other.add([Made("b", "default")])
    assert one.made() == [Made("a", "default"), Made("b", "default")]


def test_an_entry_is_read_as_it_was_written() -> None:
    for made in (Made("istiod", "istio-system"), Made("x", "", "ClusterRole", "rbac/v1")):
        assert Made.parse(str(made)) == made


def test_a_password_is_made_once_and_kept(applier: ClusterApplier, fake: FakeApi) -> None:
    secret = _thing("Secret", "login", stringData={"username": "elastic"})
    secret["metadata"]["annotations"] = {GENERATE: "password"}
    applier.apply([Manifest("test.yaml", secret)])
    first = fake.get("Secret", "login", "default")
    assert applier.apply([Manifest("test.yaml", secret)]) == ["Secret/login unchanged"]
    assert fake.get("Secret", "login", "default") == first
    assert first is not None
    assert base64.b64decode(first["data"]["username"]) == b"elastic"
    assert len(base64.b64decode(first["data"]["password"])) >= 32


def _endpoints(service: str) -> dict[str, Any]:
    namespace = {"istiod": "istio-system", "eventing-webhook": "knative-eventing"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": service,
            "namespace": namespace.get(service, "seldon-system"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": [{"addresses": ["10.244.0.9"], "conditions": {"ready": True}}],
    }
