"""What the rules make of feedback that did not count, and of how long truths take."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.manifests.rule_tests import (
    INTERVALS,
    MODEL,
    Expected,
    Scraped,
    Values,
    firing,
    held,
    objections,
)

ALERT = "FeedbackNotCounted"
every_interval = pytest.mark.parametrize("every", INTERVALS)

UNMATCHED = ("closedloop_rows", {"state": "unmatched"})
UNSCORABLE = ("closedloop_unscorable_rows", {"reason": "no_classes"})
REFUSED = ("closedloop_refused_events_total", {"type": "feedback", "reason": "bad_json"})
DEAD = ("closedloop_logger_dead_letters_total", {"reason": "rejected"})
KINDS = (UNMATCHED, UNSCORABLE, REFUSED, DEAD)


def told(metric: tuple[str, dict[str, str]], values: Values, pod: str = "one") -> Scraped:
    name, labels = metric
    return Scraped(name, values, {**MODEL, **labels}, pod)


def services(seconds: int, every: int, missing: int = 0) -> list[Scraped]:
    """A metrics server and a request logger that are there all the time, or after `missing`."""

    def always(value: float) -> list[float | None]:
        return held((missing, None), (seconds - missing, value), every=every)

    return [
        Scraped("process_start_time_seconds", always(1000), {}, "one"),
        Scraped("closedloop_state_complete", always(1), {}, "one"),
        Scraped("closedloop_logger_queue_depth", always(0), {}, "one"),
    ]


def firing_each(seconds: int, count: int) -> list[Expected]:
    """That so many alerts of each outcome fire, unmatched ones a minute later."""
    outcomes = {"unmatched": 60, "unscorable": 0, "refused": 0, "dead_letter": 0}
    alerts = f'ALERTS{{alertname="{ALERT}", alertstate="firing", outcome="%s"}}'
    return [
        Expected(alerts % outcome, seconds + grace, count or None)
        for outcome, grace in outcomes.items()
    ]


@every_interval
@pytest.mark.parametrize("before", [None, 3])
def test_a_piece_that_does_not_count_is_told_for_ten_minutes(
    tmp_path: Path, before: int | None, every: int
) -> None:
    """The first of its kind, of which nothing was exposed before, as well as the next."""
    values = held((120, before), (750, (before or 0) + 1), every=every)
    expected = [
        firing(ALERT, 119, 0),
        *firing_each(126, 1),
        *firing_each(715, 1),
        *firing_each(731, 0),
        Expected("model:feedback_not_counted", 850, 4 * ((before or 0) + 1)),
    ]
    series = [*(told(metric, values) for metric in KINDS), *services(870, every)]
    assert objections(tmp_path, every, series, *expected) == ""


def test_the_alert_names_model_outcome_reason_and_what_to_do(tmp_path: Path) -> None:
    series = [told(UNSCORABLE, held((60, 1), (60, 4), every=1)), *services(120, 1)]
    summary = (
        "3 of the pieces sent to sklearn/default in the last 10 minutes did not count (unscorable,"
        " no_classes): see all of them, and what to do about each, with `closedloop status`"
    )
    labels = {**MODEL, "outcome": "unscorable", "reason": "no_classes", "severity": "warning"}
    alert = {"exp_labels": labels, "exp_annotations": {"summary": summary}}
    at = {"alertname": ALERT, "eval_time": "70s", "exp_alerts": [alert]}
    assert objections(tmp_path, 1, series, alerts=[at]) == ""


def test_pieces_of_nobody_are_told_as_such(tmp_path: Path) -> None:
    nobody = dict.fromkeys(MODEL, "other")
    series = [
        Scraped(DEAD[0], held((60, 0), (60, 1), every=1), {**nobody, **DEAD[1]}),
        *services(120, 1),
    ]
    summary = (
        "1 of the pieces sent to an unknown model in the last 10 minutes did not count"
        " (dead_letter, rejected): see all of them, and what to do about each, with `closedloop"
        " status`"
    )
    labels = {"outcome": "dead_letter", "reason": "rejected", "severity": "warning"}
    alert = {"exp_labels": {**nobody, **labels}, "exp_annotations": {"summary": summary}}
    at = {"alertname": ALERT, "eval_time": "70s", "exp_alerts": [alert]}
    assert objections(tmp_path, 1, series, alerts=[at]) == ""


@every_interval
def test_truth_that_is_early_for_less_than_a_minute_is_none(tmp_path: Path, every: int) -> None:
    early = held((60, 0), (55, 7), (60, 0), (5, 2), (5, 0), (300, 0), every=every)
    series = [told(UNMATCHED, early), *services(480, every)]
    expected = [firing(ALERT, at, 0) for at in range(60, 300, 5)]
    expected += [Expected("model:feedback_not_counted", 200, 0)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
def test_what_was_there_before_is_no_news(tmp_path: Path, every: int) -> None:
    """Prometheus is new, and the state that it finds is old; then the services restart."""
    state = held((30, None), (120, 9), (30, None), (100, 9), every=every)
    counters = held((30, None), (120, 9), (30, None), (100, 0), every=every)
    series = [
        *(told(metric, state) for metric in (UNMATCHED, UNSCORABLE)),
        *(told(metric, counters) for metric in (REFUSED, DEAD)),
        *services(280, every, missing=30),
    ]
    expected = [firing(ALERT, at, 0) for at in range(30, 270, 10)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
def test_replicas_hold_one_state_and_refuse_each_its_own(tmp_path: Path, every: int) -> None:
    values = held((120, 2), every=every)
    series = [
        *(told(UNSCORABLE, values, pod) for pod in ("one", "two")),
        *(told(REFUSED, values, pod) for pod in ("one", "two")),
    ]
    expected = [
        Expected('model:feedback_not_counted{outcome="unscorable"}', 60, 2),
        Expected('model:feedback_not_counted{outcome="refused"}', 60, 4),
    ]
    assert objections(tmp_path, every, series, *expected) == ""


def delays(seconds: int, **buckets: int) -> list[Scraped]:
    """A histogram of delays; `le_60=5`: 5 of them took a minute at most."""
    name = "closedloop_feedback_delay_seconds"
    return [
        Scraped(f"{name}_count", [buckets["+Inf"]] * seconds),
        *(
            Scraped(
                f"{name}_bucket",
                [count] * seconds,
                {**MODEL, "le": bound.removeprefix("le_")},
            )
            for bound, count in buckets.items()
        ),
    ]


def cohorts(seconds: int, counts: dict[int, tuple[int, int]]) -> list[Scraped]:
    """Rows judged and not judged, by how many hours ago they were answered."""
    return [
        Scraped(
            "closedloop_cohort_rows",
            [count] * seconds,
            {**MODEL, "age_hours": str(hours), "judged": judged},
        )
        for hours, pair in counts.items()
        for judged, count in zip(("true", "false"), pair, strict=True)
    ]


# Nine of ten truths take two hours at most.
DELAYS = {"le_3600": 50, "le_7200": 90, "le_14400": 100, "+Inf": 100}


@pytest.mark.parametrize(
    ("buckets", "p50", "p90"),
    [
        ({"le_1": 100, "le_10": 100, "+Inf": 100}, 1, 1),
        ({"le_1": 49, "le_10": 90, "le_60": 100, "+Inf": 100}, 10, 10),
        ({"le_1": 0, "le_10": 50, "le_60": 89, "+Inf": 100}, 10, 60),
        ({"le_1": 0, "le_10": 0, "+Inf": 0}, None, None),
    ],
)
def test_nothing_is_made_up_between_the_bounds_of_delays(
    tmp_path: Path, buckets: dict[str, int], p50: float | None, p90: float | None
) -> None:
    expected = [
        Expected("model:feedback_delay:p50", 5, p50),
        Expected("model:feedback_delay:p90", 5, p90),
    ]
    assert objections(tmp_path, 1, delays(10, **buckets), *expected) == ""


def test_delays_are_bounds_of_the_histogram(tmp_path: Path) -> None:
    expected = [
        Expected("model:feedback_delay:p50", 5, 3600),
        Expected("model:feedback_delay:p90", 5, 7200),
    ]
    assert objections(tmp_path, 1, delays(10, **DELAYS), *expected) == ""


def test_a_cohort_is_complete_when_it_is_as_old_as_nine_of_ten_truths(tmp_path: Path) -> None:
    """Five seconds after a full hour, the rows of the hour before last are an hour old at least."""
    series = [
        *delays(10, **DELAYS),
        *cohorts(10, {0: (0, 40), 1: (10, 30), 2: (30, 10), 3: (40, 10), 13: (45, 5)}),
    ]
    ages = {0: 0, 1: 5, 2: 3605, 3: 7205, 13: 12 * 3600 + 5}
    shares = {0: None, 1: None, 2: None, 3: 0.8, 13: 0.9}
    expected = [
        *(Expected(f'model:cohort:age_seconds{{age_hours="{h}"}}', 5, ages[h]) for h in ages),
        *(Expected(f'model:cohort:complete{{age_hours="{h}"}}', 5, shares[h]) for h in shares),
        Expected('model:cohort:coverage{age_hours="1"}', 5, 0.25),
    ]
    assert objections(tmp_path, 1, series, *expected) == ""


def test_no_cohort_is_complete_before_a_truth_came(tmp_path: Path) -> None:
    series = [*delays(10, le_3600=0, **{"+Inf": 0}), *cohorts(10, {0: (0, 40), 9: (0, 30)})]
    expected = [
        Expected("model:cohort:coverage", 5, 0),
        Expected("model:cohort:complete", 5, None),
    ]
    assert objections(tmp_path, 1, series, *expected) == ""


@pytest.mark.parametrize(
    ("newest", "count"),
    [
        ((40, 60), 1),  # 40 % of the newest complete hour, 80 % of those before
        ((70, 30), 0),
        ((10, 39), 0),  # of 49 rows little can be said
    ],
)
def test_coverage_falls_when_fewer_of_the_newest_complete_hour_are_judged(
    tmp_path: Path, newest: tuple[int, int], count: int
) -> None:
    rows = {0: (0, 500), 1: (1, 500), 2: (1, 500), 3: newest, 4: (80, 20), 5: (80, 20)}
    series = [*delays(700, **DELAYS), *cohorts(700, rows)]
    expected: Sequence[Expected] = [
        firing("FeedbackCoverageFalling", 590, 0),
        firing("FeedbackCoverageFalling", 620, count),
    ]
    assert objections(tmp_path, 1, series, *expected) == ""
