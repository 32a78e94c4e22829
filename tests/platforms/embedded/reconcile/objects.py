"""Builders that the tests of the reconciler share."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.embedded.desired import Desired
from closedloop.platforms.embedded.reconcile import Runtime, desired

MANIFESTS = Path(__file__).parents[4] / "manifests"
RUNTIME = Runtime(
    python="python",
    model_python="model-python",
    models={
        "file:///usr/local/share/closedloop/models": "/models/iris",
        "file:///usr/local/share/closedloop/models/diabetes": "/models/diabetes",
        "file:///usr/local/share/closedloop/models/breast-cancer": "/models/breast-cancer",
    },
    volumes="/run/volumes",
    logger_endpoint="http://broker-ingress.knative-eventing.svc.cluster.local/seldon-logs/default",
)

Document = dict[str, Any]


def url_of(namespace: str, service: str, port: int) -> str:
    """A URL for every service."""
    return f"http://here/{namespace}/{service}/{port}"


def manifest(path: str) -> Document:
    """A file of the repository, to be changed by a test."""
    return deepcopy(_read(path))


def reconcile(*documents: Document) -> Desired:
    """The desired state of documents that are in files `0.yaml`, `1.yaml` and so on."""
    return desired(_manifests(documents), url_of=url_of, runtime=RUNTIME)


def faults(*documents: Document) -> tuple[str, ...]:
    """The sentences with which these documents are refused."""
    try:
        reconcile(*documents)
    except ManifestError as error:
        return error.sentences
    return ()


def config_map(name: str, **data: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ns"},
        "data": data,
    }


def service(name: str, port: int = 80, namespace: str = "ns") -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }


def deployment(**container: object) -> Document:
    """Deployment ns/app with one container, whose fields are the keywords."""
    labels = {"app": "app"}
    base = {"name": "main", "image": "closedloop/components:1", "command": ["python", "-m", "app"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "ns"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [base | container]},
            },
        },
    }


def predictor(name: str = "default", **fields: object) -> Document:
    """A predictor with our own image."""
    return {
        "name": name,
        "graph": {"name": "classifier", "type": "MODEL"},
        "componentSpecs": [
            {"spec": {"containers": [{"name": "classifier", "image": "closedloop/iris:0.1.0"}]}}
        ],
        **fields,
    }


def seldon_deployment(*predictors: Document, name: str = "iris", **spec: object) -> Document:
    """SeldonDeployment ns/iris."""
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"predictors": list(predictors), **spec},
    }


def gateway() -> Document:
    return manifest("istio/gateway.yaml")


@cache
def _read(path: str) -> Document:
    document: Document = yaml.safe_load((MANIFESTS / path).read_text())
    return document


def _manifests(documents: tuple[Document, ...]) -> list[Manifest]:
    return [Manifest(f"{index}.yaml", document) for index, document in enumerate(documents)]
