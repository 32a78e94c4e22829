"""The view model: from samples, as Prometheus and the log give them, to the page's parts."""

import math
from typing import Any

import pytest

from closedloop.judging.decision import Verdict
from closedloop.live.controls import Controlled
from closedloop.live.samples import Metrics, Objects
from closedloop.live.shown import View
from closedloop.live.view import PARTS, view
from closedloop.notebook.dashboards import Series
from closedloop.platforms.parts import WORKLOADS
from closedloop.platforms.protocol import PartStatus
from tests.live.moments import LOW, SKLEARN, accuracy, compared, one, told


def seen(metrics: Metrics | None = None, objects: Objects | None = None, **rest: Any) -> View:
    controlled = Controlled(**rest)
    return view(metrics or told(), objects or Objects(), controlled)


def test_rates_are_those_of_who_serves_and_of_the_shadow_apart() -> None:
    calls = [
        one(5.0, deployment_name="iris-perf", predictor_name=name, service=service)
        for name in ("logistic", "perceptron")
        for service in ("predictions", "feedback")
    ]
    found = seen(told(calls=calls, received=[one(9.0)]), compared(0, 0)).rates
    assert (found["requests"], found["truths"], found["mirrored"]) == (5.0, 5.0, 10.0)
    assert (found["served"], found["sent"], found["received"]) == (10.0, 20.0, 9.0)
    assert found["written"] is None  # nobody tells


def test_accuracy_is_the_newest_with_its_interval() -> None:
    curve = seen(
        told(history=accuracy((98.0, 0.7), (99.0, 0.6)), scored=[one(80.0, **SKLEARN)])
    ).curve
    assert (curve.share, curve.lower, curve.upper) == (0.6, 0.5, 0.7)
    assert curve.sentence == "of 80 truths in 30 s"


def test_threshold_is_the_recorded_one() -> None:
    metrics = told(threshold=[one(0.6)], threshold_pieces=[one(30.0)], fewest_pieces=[one(7.0)])
    curve = seen(metrics).curve
    assert (curve.threshold, curve.threshold_pieces) == (0.6, 30.0)
    assert curve.sentence.endswith("it takes 7.")


def test_accuracy_of_another_model_is_not_shown() -> None:
    others = [
        Series(dict(series.labels) | {"deployment_name": "iris-perf"}, series.samples)
        for series in accuracy((99.0, 0.9))
    ]
    assert seen(told(history=others)).curve.share is None


def test_a_second_without_accuracy_is_a_gap() -> None:
    curve = seen(told(history=accuracy((97.0, 0.7), (99.0, 0.6)))).curve
    assert list(curve.times) == [97.0, 98.0, 99.0]
    assert math.isnan(curve.shares[1])


def test_accuracy_that_ended_is_no_present_one_and_says_so() -> None:
    curve = seen(told(history=accuracy((50.0, 0.7)), scored=[one(3.0, **SKLEARN)])).curve
    assert curve.share is None
    assert curve.shares  # the curve stays
    assert "3 truths" in curve.sentence


def test_spans_in_which_the_alert_fired() -> None:
    fired = Series({"__name__": "ALERTS"} | LOW, [(5.0, 1.0), (6.0, 1.0), (9.0, 1.0)])
    assert seen(told(history=[fired])).curve.firing == [(5.0, 7.0), (9.0, 10.0)]


@pytest.mark.parametrize("state", ["pending", "firing"])
def test_alert_and_since_when(state: str) -> None:
    (alarm,) = seen(
        told(alerts=[one(1.0, alertstate=state, **LOW)], since=[one(77.0, **LOW)])
    ).alarms
    assert (alarm.name, alarm.model, alarm.state) == ("ModelAccuracyLow", "sklearn/default", state)
    assert alarm.since == 77.0


def test_alert_that_was_delivered_has_its_summary_and_a_resolved_one_has_not() -> None:
    def after(status: str) -> tuple[str, str]:
        document = {"status": status, "labels": LOW, "annotations": {"summary": "it is 40%"}}
        objects = Objects(delivered=[document])
        (alarm,) = seen(told(alerts=[one(1.0, alertstate="firing", **LOW)]), objects).alarms
        return alarm.state, alarm.summary

    assert after("firing") == ("delivered", "it is 40%")
    assert after("resolved") == ("firing", "")


def test_alerts_that_fire_come_first_and_low_accuracy_before_others() -> None:
    alerts = [
        one(1.0, alertname="A", alertstate="pending"),
        one(1.0, alertname="EventsLost", alertstate="firing"),
        one(1.0, alertstate="firing", **LOW),
    ]
    names = [alarm.name for alarm in seen(told(alerts=alerts)).alarms]
    assert names == ["ModelAccuracyLow", "EventsLost", "A"]


def test_coverage_is_of_answered_rows() -> None:
    rows = [
        one(count, state=state, **SKLEARN)
        for state, count in (("scored", 30), ("unscorable", 2), ("unlabelled", 8), ("unmatched", 5))
    ]
    (covered,) = seen(told(rows=rows)).coverage
    assert (covered.judged, covered.answered, covered.share) == (30, 40, 0.75)


def test_evidence_moves_to_the_threshold_of_the_better_one() -> None:
    positions = [
        pair.position
        for champion, challenger in ((40, 2), (8, 4), (5, 5), (4, 8), (2, 40))
        if (pair := seen(objects=compared(champion, challenger)).pair) is not None
    ]
    assert positions[0] == -1
    assert positions[-1] == 1
    assert positions == sorted(positions)
    assert positions[2] == 0
    assert positions[3] == -positions[1]


def test_verdict_is_that_of_the_decision() -> None:
    verdicts = [
        pair.verdict
        for counts in ((40, 2), (8, 6), (2, 40))
        if (pair := seen(objects=compared(*counts)).pair) is not None
    ]
    assert verdicts == [Verdict.KEEP, Verdict.UNDECIDED, Verdict.PROMOTE]


def test_refusals_say_why_and_what_to_do_the_most_frequent_first() -> None:
    reasons = {"truth_unknown_class": 2.0, "bad_json": 7.0}
    series = [
        one(count, outcome=outcome, reason=reason, **SKLEARN)
        for outcome, (reason, count) in zip(("unscorable", "refused"), reasons.items(), strict=True)
    ]
    first, second = seen(told(not_counted=series, servers=[one(1.0)])).refusals or ()
    assert (first.reason, first.count, second.reason) == ("bad_json", 7, "truth_unknown_class")
    assert "dead-letters" in first.remedy
    assert "declared classes" in second.remedy


def test_a_metrics_server_that_died_is_not_called_ready_nor_all_feedback_counted() -> None:
    objects = Objects([PartStatus(PARTS["server"], "1", "ready")])
    dead, alive = seen(told(), objects), seen(told(servers=[one(1.0)]), objects)
    assert (dead.boxes["server"], dead.refusals) == ("not scraped", None)
    assert (alive.boxes["server"], alive.refusals) == ("ready", [])


def test_boxes_have_the_states_of_their_workloads() -> None:
    parts = [PartStatus(PARTS["server"], "1", "restarting")]
    boxes = seen(objects=Objects(parts)).boxes
    assert (boxes["server"], boxes["broker"], boxes["models"]) == ("restarting", "absent", "absent")
    assert seen(objects=compared(0, 0)).boxes["shadow"] == "ready"
    ours = {path for path in PARTS.values() if not path.startswith("seldon-logs/")}
    assert ours <= WORKLOADS.keys()


def test_without_prometheus_a_sentence_is_in_place_of_the_chart() -> None:
    found = seen(Metrics(100.0, {}, fault="Prometheus does not answer"))
    assert (found.curve.share, found.curve.sentence) == (None, "Prometheus does not answer")
    assert found.refusals is None
    assert found.state == "Prometheus does not answer"


def test_without_the_pair_a_sentence_is_in_its_place() -> None:
    found = seen(objects=Objects(missing="there is no iris-perf: apply it first"))
    assert found.pair is None
    assert found.missing == "there is no iris-perf: apply it first"


def test_state_is_first_what_is_set_up_then_done_then_wrong() -> None:
    objects = Objects([PartStatus(PARTS["server"], "1", "restarting")])
    states = [
        view(told(), objects, Controlled(doing="promoting"), "Setting up: broker …").state,
        view(told(), objects, Controlled(doing="promoting")).state,
        view(told(), objects, Controlled()).state,
        view(told(), Objects(), Controlled()).state,
        view(told(), Objects(), Controlled(running=True, failed=3)).state,
    ]
    assert states == [
        "Setting up: broker …",
        "Promoting …",
        "seldon-metrics-server is restarting",
        "Ready: start the traffic",
        "Traffic runs, 3 requests failed",
    ]
