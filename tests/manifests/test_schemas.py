"""Every object is what its API takes: no unknown field, no wrong type, nothing missing.

Built-in kinds against Kubernetes' own strict schema of the pinned version,
custom resources against models made from their definitions, SeldonDeployments
against the rules of the operator's webhook (the embedded platform's kind).
"""

import importlib
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from closedloop.manifests import Manifest, ManifestError, load
from closedloop.platforms.embedded.reconcile import read
from tests.manifests.overlay import render
from tests.manifests.repository import MANIFESTS, objects

Document = dict[str, Any]

# Where the models of custom resources are, by API group and version.
MODELS = {
    "networking.istio.io/v1": "cloudcoil.models.istio.networking.v1",
    "eventing.knative.dev/v1": "cloudcoil.models.knative_eventing.eventing.v1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
SELDON = "machinelearning.seldon.io/v1"
# Nobody publishes typed models of it; test_overlay.py looks at what it says.
UNCHECKED = {"elasticsearch.k8s.elastic.co/v1"}

SHARED = render(MANIFESTS / "overlays" / "shared-cluster")
# Those of a model of one's own are valid as they are, before names are filled in.
OWN = load(MANIFESTS.parent / "examples", "seldon-deployment.yaml", "triggers.yaml")
ALL = [(one.source, dict(one.document)) for one in (*objects(), *OWN)] + [
    (f"shared-cluster: {one['kind']} {one['metadata']['name']}", one) for one in SHARED
]


def kubernetes_version() -> str:
    """`1.35` of the pinned node image."""
    versions = yaml.safe_load((MANIFESTS / "versions.yaml").read_text())
    tag = versions["kubernetes"]["cluster"]["node"].partition("@")[0].rpartition(":v")[2]
    return str(tag.rpartition(".")[0])


def check(source: str, document: Document) -> None:
    """Raises `AssertionError` with what is wrong."""
    version = document["apiVersion"]
    if version in MODELS:
        _check_model(document)
    elif version == SELDON:
        try:
            read([Manifest(source, document)])
        except ManifestError as error:
            raise AssertionError(str(error)) from None
    elif version not in UNCHECKED:
        # Imported here: it takes seconds, of every worker and of a run that is about other tests.
        import kubernetes_validate

        try:
            kubernetes_validate.validate(document, kubernetes_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            raise AssertionError(error.message) from None


def _check_model(document: Document) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic's, about the package's own field names
        module = importlib.import_module(MODELS[document["apiVersion"]])
    try:
        one = getattr(module, document["kind"]).model_validate(document)
    except ValidationError as error:
        raise AssertionError(str(error)) from None
    # The models pass over fields that they do not know, so what was read is looked for again.
    known = one.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert known == document


@pytest.mark.parametrize(("source", "document"), ALL, ids=[source for source, _ in ALL])
def test_it_validates(source: str, document: Document) -> None:
    check(source, document)


def set_(document: Document, path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        document = document[int(name) if isinstance(document, list) else name]
    document[last] = value


def broken(source: str, change: Callable[[Document], object]) -> Document:
    document: Document = deepcopy(yaml.safe_load((MANIFESTS / source).read_text()))
    change(document)
    return document


@pytest.mark.parametrize(
    ("source", "path", "value"),
    [
        ("request-logger/deployment.yaml", "spec.replica", 1),
        ("request-logger/deployment.yaml", "spec.replicas", "one"),
        ("elasticsearch/statefulset.yaml", "spec.template.spec.containers.0.privileged", True),
        ("elasticsearch/network-policy.yaml", "spec.ingress.0.port", 9200),
        ("istio/gateway.yaml", "spec.servers.0.port.numbr", 80),
        ("knative-eventing/broker.yaml", "spec.delivery.retries", 8),
        ("request-logger/trigger.yaml", "spec.subscriber.reference", {}),
        ("monitoring/podmonitor-seldon.yaml", "spec.podMetricsEndpoints.0.prt", "metrics"),
        ("monitoring/rules.yaml", "spec.groups.0.rules.0.record", ["a"]),
        ("models/sklearn.yaml", "spec.predictors.0.graph.modelURI", "gs://a"),
    ],
)
def test_what_is_wrong_is_found(source: str, path: str, value: object) -> None:
    document = broken(source, lambda one: set_(one, path, value))
    with pytest.raises(AssertionError):
        check(source, document)
