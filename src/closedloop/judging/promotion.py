"""The challenger serves and the champion becomes its shadow, and back again.

Which fields that changes is in `closedloop.judging.roles`. In a cluster the flag
changes a label of both predictors' pods, so both are replaced, a new pod before
its old one; the gateway always has one to go to. An old one ends ten seconds
after it is told to (`docker/executor`), when nobody sends to it any more and its
events are sent. The state that a model keeps in its own process starts anew. The
evidence goes on: since when the pair is the same is written into the object
(`closedloop.judging.present`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import requests

from closedloop import seldon
from closedloop.judging import present
from closedloop.judging.roles import (
    Message,
    PromotionError,
    Roles,
    diff,
    predictors_of,
    promoted,
    roles,
)
from closedloop.loop.body import parse_body
from closedloop.loop.events import InvalidEvent
from closedloop.loop.payload import rows_of
from closedloop.notebook.waiting import until
from closedloop.platforms.protocol import Object, Platform

KIND = present.KIND

# How often in a row each probe must be answered by the winner.
_ROUNDS = 10
# A probe is no request of a user: the executor logs none that says so.
_PROBE_HEADERS = {"Seldon-Skip-Logging": "true"}

__all__ = ["KIND", "Promotion", "PromotionError", "Roles", "diff", "promote", "promoted", "roles"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """The outcome of a promotion.

    `answered_before` and `answered_after` are the name of the predictor that
    answered through the gateway; None where that was not tried (a dry run, or no
    probes).
    """

    before: Roles
    after: Roles
    diff: str
    applied: bool
    answered_before: str | None = None
    answered_after: str | None = None


def promote(
    platform: Platform,
    namespace: str,
    name: str,
    *,
    probes: Sequence[Message] = (),
    dry_run: bool = False,
    timeout: float = 300.0,
) -> Promotion:
    """Swap the roles of the two predictors, wait, and see by its answers which one serves.

    `probes` are requests (SeldonMessages) that the two models answer
    differently, such as `closedloop.judging.comparison.disagreements` finds. They are
    sent to each predictor's Service and to the gateway, and logged by neither;
    the gateway's answers must become the winner's, ten in a row for each.
    Without probes only the platform's word is waited for. The same call again
    undoes it.

    Raises PromotionError, and the errors of the platform; when the answers do
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
    named = {str(each["name"]): each for each in predictors_of(deployment)}
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
    """The predictor that answers through the gateway, None when not all answers are of one."""
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
