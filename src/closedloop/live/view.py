"""From samples to the view model of the live page: pure, and without a browser."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from closedloop.judging.comparison import Comparison
from closedloop.live.controls import Controlled
from closedloop.live.models import NAMESPACE, PAIR, PREDICTOR, SINGLE
from closedloop.live.samples import Metrics, Objects
from closedloop.live.shown import Alarm, Coverage, Curve, Pair, Refusal, Side, View
from closedloop.log.evaluate import Evaluation
from closedloop.log.mapping import advice
from closedloop.loop.scoring import wilson
from closedloop.notebook.dashboards import Series

# The workload behind each box of the diagram that has one.
PARTS = {
    "gateway": "istio-system/istio-ingressgateway",
    "broker": "knative-eventing/mt-broker-ingress",
    "logger": "seldon-logs/seldon-request-logger",
    "server": "seldon-logs/seldon-metrics-server",
    "log": "seldon-logs/elasticsearch",
    "prometheus": "monitoring/prometheus-monitoring-kube-prometheus-prometheus",
    "alerts": "seldon-logs/alert-logger",
}
_FIRST = "ModelAccuracyLow"  # of several alerts the one that the page is about


def view(metrics: Metrics, objects: Objects, controlled: Controlled, setting_up: str = "") -> View:
    """Everything there is to see; `setting_up` is a sentence while platform and models are made."""
    pair = None if objects.comparison is None else _pair(objects.comparison)
    return View(
        state=_state(metrics, objects, controlled, setting_up),
        boxes=_boxes(objects, metrics.told),
        rates=_rates(metrics.told, objects),
        curve=_curve(metrics, setting_up),
        alarms=_alarms(metrics.told, objects.delivered),
        coverage=_coverage(metrics.told.get("rows", ())),
        pair=pair,
        missing=setting_up or objects.missing or objects.fault,
        refusals=_refusals(metrics.told),
        controlled=controlled,
    )


def _state(metrics: Metrics, objects: Objects, controlled: Controlled, setting_up: str) -> str:
    if setting_up:
        return setting_up
    if controlled.doing:
        return f"{controlled.doing.capitalize()} …"
    old = objects.missing if objects.comparison else ""  # and an earlier comparison is shown
    fault = objects.fault or metrics.fault or old or controlled.trouble
    if fault:
        return fault
    bad = [part for part in objects.parts if part.state != "ready"]
    if bad:
        return f"{bad[0].part.rpartition('/')[2]} is {bad[0].state}"
    if not controlled.running:
        return "Ready: start the traffic"
    return f"Traffic runs, {controlled.failed} requests failed"


def _boxes(objects: Objects, told: Mapping[str, Sequence[Series]]) -> dict[str, str]:
    states = {part.part: part.state for part in objects.parts}
    boxes = {box: states.get(path, "absent") for box, path in PARTS.items()}
    shadows = _shadows(objects)
    if boxes["server"] == "ready" and not told.get("servers"):
        boxes["server"] = "not scraped"  # Prometheus notices a death first
    boxes["models"] = "ready" if objects.deployments else "absent"
    boxes["shadow"] = "ready" if shadows else "absent"
    return boxes


def _shadows(objects: Objects) -> set[tuple[str, str]]:
    """Deployment and predictor of every shadow."""
    found = set()
    for each in objects.deployments:
        spec, name = cast(Any, each["spec"]), cast(Any, each["metadata"])["name"]
        found |= {(name, one["name"]) for one in spec["predictors"] if one.get("shadow")}
    return found


def _rates(told: Mapping[str, Sequence[Series]], objects: Objects) -> dict[str, float | None]:
    rates = {
        name: _sum(told.get(name, ())) for name in ("logged", "received", "written", "scraped")
    }
    shadows = _shadows(objects)
    serving, mirrored = list[Series](), list[Series]()
    for series in told.get("calls", ()):
        who = (series.labels["deployment_name"], series.labels["predictor_name"])
        (mirrored if who in shadows else serving).append(series)
    return rates | {
        "requests": _sum(one for one in serving if one.labels["service"] == "predictions"),
        "truths": _sum(one for one in serving if one.labels["service"] == "feedback"),
        "served": _sum(serving),
        "mirrored": _sum(mirrored),
        "sent": _sum((*serving, *mirrored)),
    }


def _sum(series: Iterable[Series]) -> float | None:
    values = [one.value for one in series]
    return sum(values) if values else None


def _curve(metrics: Metrics, setting_up: str) -> Curve:
    lines: dict[str, dict[float, float]] = {"": {}, ":lower": {}, ":upper": {}}
    firing = list[tuple[float, float]]()
    for series in metrics.history:
        if not _of_single(series):
            continue
        name = series.labels.get("__name__", "")
        if name == "ALERTS":
            firing = _spans([at for at, _ in series.samples])
        else:
            lines[name.removeprefix("model:accuracy:window30s")] = dict(series.samples)
    seconds = sorted(lines[""].keys() & lines[":lower"].keys() & lines[":upper"].keys())
    # Each second from the first to the last, so that where there was none the line has a gap.
    times = [seconds[0] + i for i in range(int(seconds[-1] - seconds[0]) + 1)] if seconds else []
    shares, lowers, uppers = ([line.get(at, math.nan) for at in times] for line in lines.values())
    known = next((int(s.value) for s in metrics.told.get("scored", ()) if _of_single(s)), 0)
    level, pieces, fewest = (
        _sum(metrics.told.get(name, ()))
        for name in ("threshold", "threshold pieces", "fewest pieces")
    )
    line = Curve(
        metrics.at, times, shares, lowers, uppers, firing, threshold=level, threshold_pieces=pieces
    )
    if not times or times[-1] < metrics.at - 5:
        few = f"No accuracy: {known} truths in 30 s, and it takes {fewest or 0:.0f}."
        return replace(line, sentence=setting_up or metrics.fault or few)
    return replace(
        line,
        share=shares[-1],
        lower=lowers[-1],
        upper=uppers[-1],
        sentence=f"of {known} truths in 30 s",
    )


def _spans(seconds: Sequence[float]) -> list[tuple[float, float]]:
    """Consecutive seconds as spans from the first to the end of the last."""
    spans = list[tuple[float, float]]()
    for at in seconds:
        begun = spans.pop()[0] if spans and spans[-1][1] >= at else at
        spans.append((begun, at + 1))
    return spans


def _of_single(series: Series) -> bool:
    labels = series.labels
    names = labels.get("deployment_namespace"), labels.get("deployment_name")
    return (*names, labels.get("predictor_name")) == (NAMESPACE, SINGLE, PREDICTOR)


def _alarms(
    told: Mapping[str, Sequence[Series]], delivered: Sequence[Mapping[str, Any]]
) -> list[Alarm]:
    since = {_identity(one.labels): one.value for one in told.get("since", ())}
    summaries = {
        _identity(one["labels"]): str(one.get("annotations", {}).get("summary", ""))
        for one in reversed(delivered)  # the newest wins
        if one["status"] == "firing"
    }
    alarms = []
    for series in told.get("alerts", ()):
        who = _identity(series.labels)
        state = series.labels["alertstate"]
        known = state == "firing" and who in summaries
        alarms.append(
            Alarm(
                series.labels["alertname"],
                _owner(series.labels),
                "delivered" if known else state,
                since.get(who),
                summaries.get(who, "") if known else "",
            )
        )
    alarms = list(dict.fromkeys(alarms))  # one for each type of event looks the same
    return sorted(alarms, key=lambda one: (one.state == "pending", one.name != _FIRST, one.name))


def _identity(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """An alert's own labels; those that Prometheus adds on the way out are of no alert here."""
    kept = ("alertname", "deployment_name", "predictor_name", "outcome", "reason", "type", "place")
    return frozenset((name, labels[name]) for name in kept if labels.get(name))


def _owner(labels: Mapping[str, str]) -> str:
    names = ("deployment_name", "predictor_name")
    return "/".join(filter(None, (labels.get(name) for name in names)))


def _coverage(rows: Sequence[Series]) -> list[Coverage]:
    states: dict[str, dict[str, int]] = {}
    for series in rows:
        if series.labels["deployment_name"] in (SINGLE, PAIR):
            of = states.setdefault(_owner(series.labels), {})
            of[series.labels["state"]] = int(series.value)
    covered = []
    for owner, of in sorted(states.items(), reverse=True):
        judged = of.get("scored", 0)
        answered = judged + of.get("unscorable", 0) + of.get("unlabelled", 0)
        if answered:
            covered.append(Coverage(owner, answered, judged))
    return covered


def _pair(found: Comparison) -> Pair:
    decision = found.decide()
    share = min(1.0, max(0.0, decision.log_evidence / decision.log_threshold))
    return Pair(
        _side(found.champion, found.champion_only),
        _side(found.challenger, found.challenger_only),
        position=share if decision.b > decision.c else -share,
        odds=math.exp(min(decision.log_evidence, 700.0)),
        threshold=math.exp(decision.log_threshold),
        verdict=decision.verdict,
        needed=decision.rows_needed,
        sentence=decision.sentence,
    )


def _side(found: Evaluation, alone: int) -> Side:
    interval = wilson(found.correct, found.scored)
    return Side(found.predictor, found.scored, found.accuracy, *interval, alone)


def _refusals(told: Mapping[str, Sequence[Series]]) -> list[Refusal] | None:
    """The most frequent first; None while no metrics server tells."""
    if not told.get("servers"):
        return None
    found = []
    for one in told["not counted"]:
        outcome, reason = one.labels.get("outcome", ""), one.labels.get("reason", "")
        remedy = advice(outcome, reason)
        found.append(Refusal(_owner(one.labels), int(one.value), reason, remedy))
    return sorted(found, key=lambda one: (-one.count, one.predictor, one.reason))
