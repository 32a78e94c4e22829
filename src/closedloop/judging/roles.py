"""The roles of two predictors, and the object in which they are swapped: pure.

The roles are swapped, not the models: `shadow`, `traffic` and the place in the
list move between the two predictors, while each keeps its name, its graph and
its containers. Seldon names the log index, the Service and the
metrics of a predictor after it; were the models swapped between the names,
one name would mean two models, its accuracy would mix both, and late feedback
would judge one model's answer as the other's. The serving predictor comes
first in the list, because `status.address` is the first one's
(`createAddressableResource`, operator of Seldon Core v1.17.1).
"""

import copy
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import yaml

from closedloop.judging import present
from closedloop.platforms.protocol import Object

Message = Mapping[str, object]

# The fields that belong to the role and not to the model.
_ROLE = ("shadow", "traffic")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class PromotionError(Exception):
    """A promotion that cannot be or did not happen; one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the predictor that serves and of the one that shadows it."""

    serving: str
    shadow: str


def roles(deployment: Object) -> Roles:
    """The predictor that serves and the one that shadows it.

    Raises PromotionError unless there are exactly one of each.
    """
    predictors = predictors_of(deployment)
    serving = [str(each["name"]) for each in predictors if not each.get("shadow")]
    shadows = [str(each["name"]) for each in predictors if each.get("shadow")]
    if len(serving) != 1 or len(shadows) != 1:
        raise PromotionError(
            f"{_title(deployment)} has {len(serving)} serving predictors {serving} and"
            f" {len(shadows)} shadows {shadows}: deploy one that serves and one with shadow: true"
        )
    return Roles(serving[0], shadows[0])


def promoted(deployment: Object) -> dict[str, object]:
    """The object to apply so that the shadow serves and the serving predictor shadows.

    Without status and the fields that the API server manages; applied to its own result it
    gives the first object again. Raises PromotionError when there is no one
    serving and one shadow, or the shadow has fewer replicas than it will need.
    """
    roles(deployment)
    predictors = copy.deepcopy(predictors_of(deployment))
    one, other = predictors
    champion, challenger = (one, other) if other.get("shadow") else (other, one)
    has, needs = _replicas(challenger, deployment), _replicas(champion, deployment)
    if has < needs:
        raise PromotionError(
            f"predictor {challenger['name']} runs {has} replicas where {champion['name']} serves"
            f" with {needs}: give it {needs} before it has to serve"
        )
    for field in _ROLE:
        values = one.pop(field, None), other.pop(field, None)
        for predictor, value in zip((other, one), values, strict=True):
            if value:
                predictor[field] = value
    metadata = cast(Message, deployment["metadata"])
    kept: dict[str, object] = {
        name: metadata[name] for name in ("name", "namespace", "labels") if metadata.get(name)
    }
    annotations = dict(cast(Message, metadata.get("annotations") or {}))
    for mine in (_APPLIED, present.ANNOTATION):
        annotations.pop(mine, None)
    if annotations:
        kept["annotations"] = annotations
    return {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "metadata": kept,
        "spec": {**copy.deepcopy(_spec(deployment)), "predictors": [other, one]},
    }


def diff(before: Object, after: Object) -> str:
    """The change of the spec by applying `after`, as a unified diff of YAML.

    The predictors are shown by name, each with its place in the list, so that
    one that only moves does not look like another one.
    """
    now, target = (
        yaml.safe_dump(_by_name(_spec(each)), sort_keys=False).splitlines()
        for each in (before, after)
    )
    return "\n".join(difflib.unified_diff(now, target, "now", "promoted", lineterm=""))


def _by_name(spec: Message) -> dict[str, object]:
    listed = cast(list[Message], spec["predictors"])
    places = {
        str(each["name"]): {"place": place, "shadow": False, "traffic": 0, **each}
        for place, each in enumerate(listed, start=1)
    }
    return {**spec, "predictors": {name: places[name] for name in sorted(places)}}


def _replicas(predictor: Message, deployment: Object) -> int:
    return cast(int, predictor.get("replicas", _spec(deployment).get("replicas", 1)))


def predictors_of(deployment: Object) -> list[dict[str, object]]:
    """The predictors of a SeldonDeployment, as its spec lists them."""
    return cast(list[dict[str, object]], _spec(deployment)["predictors"])


def _spec(deployment: Object) -> Message:
    return cast(Message, deployment["spec"])


def _title(deployment: Object) -> str:
    metadata = cast(Message, deployment["metadata"])
    return f"{deployment['kind']} {metadata.get('namespace', 'default')}/{metadata['name']}"
