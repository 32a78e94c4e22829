"""The repository's own manifests."""

from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from closedloop.manifests import Manifest, ManifestError, in_apply_order, load_values
from closedloop.platforms.embedded.kinds.base import Strict
from closedloop.platforms.embedded.kinds.table import KINDS
from closedloop.platforms.embedded.reconcile import desired, read, runtime_from
from closedloop.validation import field_path
from tests.manifests.repository import on_both_platforms
from tests.platforms.embedded.reconcile.objects import MANIFESTS, RUNTIME, url_of

ALL = on_both_platforms()


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.source)
def test_every_manifest_reconciles_by_itself(one: Manifest) -> None:
    desired([one], url_of=url_of, runtime=RUNTIME)


def test_all_together_leave_nothing_open() -> None:
    together = in_apply_order([one for one in ALL if "shadow" not in one.source])
    assert desired(together, url_of=url_of, runtime=RUNTIME).problems == {}


def test_the_runtime_reads_the_values_of_the_repository() -> None:
    runtime = runtime_from(
        load_values(MANIFESTS / "seldon-core/values.yaml"),
        load_values(MANIFESTS / "versions.yaml"),
        python="python",
        model_python="model-python",
        models=RUNTIME.models,
        volumes=RUNTIME.volumes,
    )
    assert runtime == RUNTIME


def test_values_without_the_logger_endpoint_are_refused() -> None:
    with pytest.raises(ManifestError) as caught:
        runtime_from(
            {"executor": {"requestLogger": {}}},
            {},
            python="",
            model_python="",
            models={},
            volumes="",
        )
    assert caught.value.sentences == (
        "seldon-core/values.yaml: executor.requestLogger.defaultEndpoint is missing: add it",
    )


def strict_places(
    model: BaseModel, path: tuple[str | int, ...] = ()
) -> list[tuple[str | int, ...]]:
    """The paths of all models within a model, by the names a manifest has for them."""
    places = [path]
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        at = (*path, info.alias or name)
        if isinstance(value, BaseModel) and name in model.model_fields_set:
            places += strict_places(value, at)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    places += strict_places(item, (*at, index))
    return places


PLACES = [
    (manifest, place)
    for manifest, one in zip(ALL, read(ALL), strict=True)
    for place in strict_places(one)
]


@given(st.sampled_from(PLACES), st.from_regex(r"[a-z][A-Za-z]{2,20}X", fullmatch=True), st.none())
def test_an_unknown_field_anywhere_is_reported_with_its_path(
    case: tuple[Manifest, tuple[str | int, ...]], field: str, value: object
) -> None:
    manifest, place = case
    changed = Manifest("f.yaml", with_field(manifest.document, place, field, value))
    with pytest.raises(ManifestError) as caught:
        read([changed])
    assert caught.value.sentences == (
        (
            f"f.yaml: {manifest.title}: {field_path((*place, field))}"
            " is not supported on one machine: remove it"
        ),
    )


def with_field(document: Any, place: tuple[str | int, ...], field: str, value: object) -> Any:
    """A copy of a document with one more field at a place."""
    if not place:
        return {**document, field: value}
    first, *rest = place
    copy = document.copy()
    copy[first] = with_field(document[first], tuple(rest), field, value)
    return copy


def test_the_property_looks_deep_enough() -> None:
    assert len(PLACES) > 150
    assert max(len(place) for _, place in PLACES) >= 8


def cluster_only_fields() -> set[str]:
    """`Model.field` for every field whose value is accepted without effect."""
    found = set()
    queue: list[tuple[str, type[Strict]]] = [(one.kind, one.model) for one in KINDS if one.model]
    seen: set[tuple[str, type[Strict]]] = set()
    while queue:
        label, model = one = queue.pop()
        if one in seen:
            continue
        seen.add(one)
        found |= {f"{label}.{name}" for name in model.cluster_only}
        for info in model.model_fields.values():
            queue += [(inner.__name__, inner) for inner in models_in(info.annotation)]
    return found


def models_in(annotation: Any) -> list[type[Strict]]:
    if get_origin(annotation) is None:
        return (
            [annotation] if isinstance(annotation, type) and issubclass(annotation, Strict) else []
        )
    return [model for one in get_args(annotation) for model in models_in(one)]


SERVER_SIDE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


POD = [
    "automountServiceAccountToken",
    "serviceAccountName",
    "securityContext",
    "imagePullSecrets",
    "priorityClassName",
    "affinity",
    "nodeSelector",
    "tolerations",
    "topologySpreadConstraints",
]


def test_fields_without_effect_are_these_and_no_others() -> None:
    """A new one belongs here only if it cannot matter on one machine."""
    expected = {f"Metadata.{field}" for field in SERVER_SIDE}
    expected |= {f"{one.kind}.status" for one in KINDS if one.model}
    expected |= {
        f"{model}.{field}"
        for model, fields in {
            "Namespace": ["spec"],
            "ConfigMap": ["immutable"],
            "Secret": ["type", "immutable"],
            "Strategy": ["rollingUpdate"],
            "DeploymentSpec": [
                "revisionHistoryLimit",
                "progressDeadlineSeconds",
                "minReadySeconds",
            ],
            "TemplateMetadata": ["creationTimestamp"],
            "PodSpec": POD,
            "ComponentPodSpec": POD,
            "Initializer": [
                "image",
                "imagePullPolicy",
                "command",
                "args",
                "env",
                "envFrom",
                "resources",
                "securityContext",
                "volumeMounts",
            ],
            "EmptyDir": ["sizeLimit", "medium"],
            "VolumeMount": ["readOnly"],
            "Container": [
                "imagePullPolicy",
                "resources",
                "securityContext",
                "terminationMessagePath",
                "terminationMessagePolicy",
            ],
            "Probe": ["initialDelaySeconds"],
            "PortSpec": ["appProtocol", "nodePort"],
            "ServiceSpec": [
                "clusterIP",
                "clusterIPs",
                "ipFamilies",
                "ipFamilyPolicy",
                "internalTrafficPolicy",
            ],
            "SeldonDeploymentSpec": ["name"],
            "ComponentMetadata": ["creationTimestamp"],
            "ServiceOrchestrator": ["resources"],
            "Predictor": ["engineResources", "progressDeadlineSeconds"],
            "Graph": ["serviceAccountName", "envSecretRefName", "storageInitializerImage"],
            "ServiceAccount": [
                "automountServiceAccountToken",
                "imagePullSecrets",
                "secrets",
            ],
            "Role": ["rules"],
            "RoleBinding": ["roleRef", "subjects"],
            "NetworkPolicy": ["spec"],
            "PodDisruptionBudget": ["spec"],
        }.items()
        for field in fields
    }
    assert cluster_only_fields() == expected
