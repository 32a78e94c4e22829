"""The challenger serves and the champion becomes its shadow, and back again.

What is swapped are the roles, not the models: `shadow`, `traffic` and the
place in the list move between the two predictors, while each keeps its name,
its graph and its containers. Seldon names the log index, the Service and the
metrics of a predictor after it; were the models swapped between the names,
one name would mean two models, its accuracy would mix both, and late feedback
would judge one model's answer as the other's. The serving predictor comes
first in the list, because `status.address` is the first one's
(`createAddressableResource`, operator of Seldon Core v1.17.1).

In a cluster the flag changes a label of both predictors' pods, so both are
replaced, a new pod before its old one; the gateway always has one to go to.
An old one ends ten seconds after it is told to (`docker/executor`), when
nobody sends to it any more and its events are sent. The state that a model
keeps in its own process starts anew. The evidence goes on: since when the pair
is the same is written into the object (`closedloop.judging.present`).
"""

import copy
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import requests
import yaml

from closedloop import seldon
from closedloop.judging import present
from closedloop.loop.body import parse_body
from closedloop.loop.events import InvalidEvent
from closedloop.loop.payload import rows_of
from closedloop.notebook.waiting import until
from closedloop.platforms.protocol import Object, Platform

KIND = present.KIND

# What belongs to the role and not to the model.
_ROLE = ("shadow", "traffic")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# How often in a row each probe must be answered by the winner.
_ROUNDS = 10
# A probe is no request of a user: the executor logs none that says so.
_PROBE_HEADERS = {"Seldon-Skip-Logging": "true"}

Message = Mapping[str, object]


class PromotionError(Exception):
    """A promotion that cannot be or did not happen; one sentence: what, which value, what to do."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the predictor that serves and of the one that shadows it."""

    serving: str
    shadow: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion changed.

    `answered_before` and `answered_after` are the name of the predictor whose
    answer the gateway gave; None where that was not tried (a dry run, or no
    probes).
    """

    before: Roles
    after: Roles
    diff: str
    applied: bool
    answered_before: str | None = None
    answered_after: str | None = None


def roles(deployment: Object) -> Roles:
    """Who serves and who shadows.

    Raises PromotionError unless there are exactly one of each.
    """
    predictors = _predictors(deployment)
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

    Without status and what the API server manages; applied to its own result it
    gives the first object again. Raises PromotionError when there is no one
    serving and one shadow, or the shadow has fewer replicas than it will need.
    """
    roles(deployment)
    predictors = copy.deepcopy(_predictors(deployment))
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
    """What applying `after` changes in the spec, as a unified diff of YAML.

    The predictors are shown by name, each with its place in the list, so that
    one that only moves does not look like another one.
    """
    now, target = (
        yaml.safe_dump(_by_name(_spec(each)), sort_keys=False).splitlines()
        for each in (before, after)
    )
    return "\n".join(difflib.unified_diff(now, target, "now", "promoted", lineterm=""))


def promote(
    platform: Platform,
    namespace: str,
    name: str,
    *,
    probes: Sequence[Message] = (),
    dry_run: bool = False,
    timeout: float = 300.0,
) -> Promotion:
    """Swap the roles of the two predictors, wait, and see by its answers who serves.

    `probes` are requests (SeldonMessages) that the two models answer
    differently, such as `closedloop.judging.comparison.disagreements` finds. They are
    sent to each predictor's Service and to the gateway, and logged by neither;
    the gateway's answers must become the winner's, ten in a row for each.
    Without probes only the platform's word is waited for. The same call again
    undoes it.

    Raises PromotionError, and whatever the platform raises; when the answers do
    not turn within `timeout` seconds the change stays applied, and the error
    says so.
    """
    now = platform.get(KIND, name, namespace)
    before, target = roles(now), promoted(now)
    after = Roles(before.shadow, before.serving)
    plan = diff(now, target)
    if dry_run:
        return Promotion(before, after, plan, applied=False)
    base = platform.url("istio-system/istio-ingressgateway")
    gateway = _Prober(base + seldon.gateway_path(namespace, name), "the gateway")
    told = _told_apart(platform, now, before, probes) if probes else []
    answered_before = _who(gateway, told)
    platform.apply(present.annotated(target, now, present.present_pair(platform, namespace, name)))
    platform.wait(KIND, name, namespace, condition="Ready", timeout=timeout)
    answered_after = None
    if told:
        answered_after = _await(gateway, told, after.serving, timeout)
    return Promotion(before, after, plan, True, answered_before, answered_after)


@dataclass(frozen=True, slots=True)
class _Probe:
    request: Message
    answers: Mapping[str, object]  # by predictor


class _Prober:
    """Asks one URL for predictions."""

    def __init__(self, url: str, what: str) -> None:
        self._url, self._what = f"{url}/api/v1.0/predictions", what

    def ask(self, request: Message) -> object:
        """The rows of the answer, numbers to six digits. Raises PromotionError."""
        try:
            response = requests.post(self._url, json=request, headers=_PROBE_HEADERS, timeout=30)
            response.raise_for_status()
            return _rounded(rows_of(parse_body(response.content)).rows)
        except (requests.RequestException, InvalidEvent) as error:
            raise PromotionError(
                f"{self._what} does not answer the probe {request}: {error}"
            ) from error


def _told_apart(
    platform: Platform, deployment: Object, who: Roles, probes: Sequence[Message]
) -> list[_Probe]:
    """The probes that the two predictors answer differently."""
    metadata = cast(Message, deployment["metadata"])
    named = {str(each["name"]): each for each in _predictors(deployment)}
    probers = {
        name: _Prober(
            platform.url(
                f"{metadata['namespace']}/{_service(str(metadata['name']), named[name])}", 8000
            ),
            f"predictor {name}",
        )
        for name in (who.serving, who.shadow)
    }
    told = [
        _Probe(request, {name: prober.ask(request) for name, prober in probers.items()})
        for request in probes
    ]
    told = [probe for probe in told if probe.answers[who.serving] != probe.answers[who.shadow]]
    if not told:
        raise PromotionError(
            f"predictors {who.serving} and {who.shadow} give the same answer to each of"
            f" {len(probes)} probes: give probes that they answer differently, or none"
        )
    return told


def _await(gateway: _Prober, probes: Sequence[_Probe], serving: str, timeout: float) -> str | None:
    try:
        return until(
            lambda: _who(gateway, [*probes] * _ROUNDS),
            lambda who: who == serving,
            what=f"the promotion was applied, but not all answers of the gateway are {serving}'s",
            timeout=timeout,
        )
    except TimeoutError as error:
        raise PromotionError(
            f"{error}: look at the platform's logs, or promote again to undo it"
        ) from None


def _who(gateway: _Prober, probes: Sequence[_Probe]) -> str | None:
    """The predictor whose answers the gateway gives, None when they are not all of one."""
    names: set[str | None] = set()
    for probe in probes:
        answer = gateway.ask(probe.request)
        names.add(next((name for name, own in probe.answers.items() if own == answer), None))
        if len(names) > 1:
            return None
    return next(iter(names), None)


def _service(deployment: str, predictor: Message) -> str:
    """The predictor's Service (`GetPredictorKey`, operator of Seldon Core v1.17.1)."""
    annotations = cast(Message, predictor.get("annotations") or {})
    own = annotations.get(seldon.SERVICE_NAME)
    return seldon.predictor_service(deployment, str(predictor["name"]), str(own) if own else None)


def _rounded(value: object) -> object:
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    return value


def _by_name(spec: Message) -> dict[str, object]:
    listed = cast(list[Message], spec["predictors"])
    places = {
        str(each["name"]): {"place": place, "shadow": False, "traffic": 0, **each}
        for place, each in enumerate(listed, start=1)
    }
    return {**spec, "predictors": {name: places[name] for name in sorted(places)}}


def _replicas(predictor: Message, deployment: Object) -> int:
    return cast(int, predictor.get("replicas", _spec(deployment).get("replicas", 1)))


def _predictors(deployment: Object) -> list[dict[str, object]]:
    return cast(list[dict[str, object]], _spec(deployment)["predictors"])


def _spec(deployment: Object) -> Message:
    return cast(Message, deployment["spec"])


def _title(deployment: Object) -> str:
    metadata = cast(Message, deployment["metadata"])
    return f"{deployment['kind']} {metadata.get('namespace', 'default')}/{metadata['name']}"
