"""What the rules make of the metrics server's counts of right and wrong answers."""

from pathlib import Path
from typing import Any

import pytest

from closedloop.loop.scoring.interval import wilson
from tests.manifests import rule_tests
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

PIECES = "model:feedback_scored:window30s"
RIGHT = "model:correct:window30s"
SHARE = "model:accuracy:window30s"
every_interval = pytest.mark.parametrize("every", INTERVALS)


def counts(correct: Values, incorrect: Values, pod: str = "one") -> list[Scraped]:
    """What one metrics server told; it tells its state whenever it tells these."""
    told = [value is not None for value in correct]
    return [
        Scraped("closedloop_correct", correct, pod=pod),
        Scraped("closedloop_incorrect", incorrect, pod=pod),
        Scraped("closedloop_state_complete", [1 if one else None for one in told], {}, pod),
        Scraped("process_start_time_seconds", [1000 if one else None for one in told], {}, pod),
    ]


def came(correct: int, incorrect: int, every: int) -> list[Scraped]:
    """Nothing for 40 s, then so many pieces at once."""
    return counts(
        held((40, 0), (60, correct), every=every), held((40, 0), (60, incorrect), every=every)
    )


def wrong(values: Values, pod: str = "one") -> list[Scraped]:
    """Only wrong answers are counted."""
    return counts([None if value is None else 0 for value in values], values, pod)


def window(seconds: int, right: int | None, pieces: int | None) -> list[Expected]:
    return [Expected(RIGHT, seconds, right), Expected(PIECES, seconds, pieces)]


@every_interval
def test_a_replica_that_cannot_write_its_rows_is_told_as_long_as_it_cannot(
    tmp_path: Path, every: int
) -> None:
    full = held((20, 1), (20, 0), (20, 1), every=every)
    series = [
        Scraped("closedloop_store_writable", full, {}, "one"),
        Scraped("closedloop_store_writable", held((60, 1), every=every), {}, "two"),
    ]
    expected = [firing("MetricsStoreNotWritable", at, int(at == 30)) for at in (10, 30, 50)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
@pytest.mark.parametrize(("correct", "incorrect"), [(0, 49), (24, 25), (25, 25), (60, 40)])
def test_few_pieces_or_half_of_them_right_are_no_alarm(
    tmp_path: Path, correct: int, incorrect: int, every: int
) -> None:
    series = came(correct, incorrect, every)
    expected = [firing("ModelAccuracyLow", at, 0) for at in range(40, 80)]
    pieces = window(60, correct, correct + incorrect)
    assert objections(tmp_path, every, series, *expected, *pieces) == ""


@every_interval
@pytest.mark.parametrize(
    ("correct", "incorrect", "share"), [(0, 50, "0%"), (20, 30, "40%"), (49, 51, "49%")]
)
def test_fifty_pieces_of_which_most_are_wrong_are_one_for_half_a_minute(
    tmp_path: Path, correct: int, incorrect: int, share: str, every: int
) -> None:
    summary = (
        f"sklearn/default answered {share} of the last 30 s correctly: see in the dashboard"
        ' "Real time model accuracy" which class is mistaken, and compare it with another model'
    )
    alert: dict[str, Any] = {
        "exp_labels": {**MODEL, "severity": "warning"},
        "exp_annotations": {"summary": summary},
    }
    at = {"alertname": "ModelAccuracyLow", "eval_time": "60s", "exp_alerts": [alert]}
    series = came(correct, incorrect, every)
    later = firing("ModelAccuracyLow", 80, 0)
    assert objections(tmp_path, every, series, later, alerts=[at]) == ""


@every_interval
def test_steady_pieces_are_counted_one_by_one(tmp_path: Path, every: int) -> None:
    """Ten each five seconds, of which two are wrong, are 60 in 30 s."""
    correct = [8 * (at // 5) for at in range(0, 120, every)]
    incorrect = [2 * (at // 5) for at in range(0, 120, every)]
    expected = [*window(104, 48, 60), Expected(SHARE, 104, 48 / 60)]
    assert objections(tmp_path, every, counts(correct, incorrect), *expected) == ""


@every_interval
def test_there_is_no_share_of_fewer_than_twenty_pieces(tmp_path: Path, every: int) -> None:
    expected = [Expected(share, 60, None) for share in (SHARE, f"{SHARE}:lower", f"{SHARE}:upper")]
    assert objections(tmp_path, every, came(8, 11, every), *expected) == ""


@every_interval
def test_a_share_has_the_interval_of_its_own_pieces(tmp_path: Path, every: int) -> None:
    lower, upper = wilson(8, 20)
    expected = [
        Expected(SHARE, 60, 8 / 20),
        Expected(f"abs({SHARE}:lower - {lower}) < bool 1e-6", 60, 1),
        Expected(f"abs({SHARE}:upper - {upper}) < bool 1e-6", 60, 1),
        Expected(f"abs(model:accuracy:lower - {lower}) < bool 1e-6", 60, 1),
        Expected(f"abs(model:accuracy:upper - {upper}) < bool 1e-6", 60, 1),
    ]
    assert objections(tmp_path, every, came(8, 12, every), *expected) == ""


@every_interval
@pytest.mark.parametrize("gap", [5, 15, 25, 60, 400])
def test_a_restart_adds_nothing(tmp_path: Path, gap: int, every: int) -> None:
    """The counts are away, then those of before are restored: they are not new."""
    series = wrong(held((40, 1000), (gap, None), (60, 1000), every=every))
    times = range(40, 40 + gap + 60, 5)
    expected = [Expected(f"{PIECES} > 0", at, None) for at in times]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
@pytest.mark.parametrize("gap", [5, 15])
def test_pieces_that_came_in_a_short_restart_are_counted_once(
    tmp_path: Path, gap: int, every: int
) -> None:
    """The broker kept them, and they are of the last 30 s."""
    series = wrong(held((40, 0), (5, 25), (gap, None), (60, 50), every=every))
    assert objections(tmp_path, every, series, firing("ModelAccuracyLow", 50 + gap, 1)) == ""
    series = wrong(held((40, 0), (5, 25), (gap, None), (60, 49), every=every))
    expected = [firing("ModelAccuracyLow", 50 + gap, 0), *window(50 + gap, 0, 49)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
def test_what_came_in_a_long_restart_is_not_of_the_last_half_minute(
    tmp_path: Path, every: int
) -> None:
    series = wrong(held((40, 0), (40, None), (60, 500), every=every))
    assert objections(tmp_path, every, series, *window(85, 0, 0)) == ""


@every_interval
def test_pieces_go_on_counting_when_another_pod_tells_them(tmp_path: Path, every: int) -> None:
    """25 by the pod that ends, 25 by the one that follows and has read what the first knew."""
    series = [
        *wrong(held((40, 100), (10, 125), (50, None), every=every), "one"),
        *wrong(held((50, None), (5, 125), (45, 150), every=every), "two"),
    ]
    expected = [firing("ModelAccuracyLow", 60, 1), *window(60, 0, 50), *window(54, 0, 25)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
@pytest.mark.parametrize("knows", [0, 951, 1000])
def test_a_second_replica_adds_nothing(tmp_path: Path, knows: int, every: int) -> None:
    """It comes, is behind until its resync, and is left alone when the first one ends."""
    series = [
        *wrong(held((80, 1000), (60, None), every=every), "one"),
        *wrong(held((50, None), (50, knows), (40, 1000), every=every), "two"),
    ]
    expected = [Expected(f"{PIECES} > 0", at, None) for at in range(40, 140, 3)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
def test_pieces_that_two_replicas_know_are_counted_once(tmp_path: Path, every: int) -> None:
    told = held((40, 0), (60, 30), every=every)
    series = [*wrong(told, "one"), *wrong(told, "two")]
    assert objections(tmp_path, every, series, *window(60, 0, 30)) == ""


@every_interval
def test_a_correction_is_the_piece_that_it_is(tmp_path: Path, every: int) -> None:
    """60 new pieces are right, and 31 older rows turn out wrong: 60 of 91 pieces said right."""
    correct = held((40, 500), (5, 560), (55, 529), every=every)
    incorrect = held((45, 100), (55, 131), every=every)
    expected = [*window(60, 60, 91), Expected(SHARE, 60, 60 / 91)]
    assert objections(tmp_path, every, counts(correct, incorrect), *expected) == ""


@every_interval
def test_a_correction_that_lowers_a_count_hides_no_piece(tmp_path: Path, every: int) -> None:
    """Twenty rows cannot be scored any more; then fifty wrong answers come."""
    series = wrong(held((40, 100), (5, 80), (55, 130), every=every))
    expected = [*window(44, 0, 0), firing("ModelAccuracyLow", 60, 1), *window(60, 0, 50)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
@pytest.mark.parametrize(("from_start", "pieces"), [(True, 50), (False, 0)])
def test_a_new_model_begins_at_none_and_a_new_server_does_not(
    tmp_path: Path, from_start: bool, pieces: int, every: int
) -> None:
    """A server that told its state before and now tells of 50 pieces got them just now."""
    correct, incorrect, *server = wrong(held((40, None), (60, 50), every=every))
    if from_start:
        server = wrong(held((100, 1), every=every))[2:]
    series = [correct, incorrect, *server]
    expected = [*window(60, 0, pieces), firing("ModelAccuracyLow", 60, pieces // 50)]
    assert objections(tmp_path, every, series, *expected) == ""


@every_interval
@pytest.mark.parametrize("gap", [10, 50])
def test_rows_scored_by_another_declaration_are_not_new(
    tmp_path: Path, gap: int, every: int
) -> None:
    """The server leaves out the model until it has read all of its rows again."""
    counted = wrong(held((40, 0), (gap, None), (60, 500), every=every))[:2]
    server = wrong(held((100 + gap, 1), every=every))[2:]
    expected = [Expected(f"{PIECES} > 0", at, None) for at in range(40, 100 + gap, 5)]
    assert objections(tmp_path, every, [*counted, *server], *expected) == ""


@every_interval
def test_log_and_metrics_disagree_when_a_difference_lasts(tmp_path: Path, every: int) -> None:
    passing = held((40, 0), (30, 2), (200, 0), every=every)
    lasting = held((40, 0), (200, 2), every=every)
    alert = "LogAndMetricsDisagree"
    for values, count in ((passing, 0), (lasting, 1)):
        series = [Scraped("closedloop_replay_mismatch", values)]
        assert objections(tmp_path, every, series, firing(alert, 110, count)) == ""


def test_every_alert_says_in_a_sentence_what_it_is_and_what_to_do() -> None:
    alerts = [rule for group in rule_tests.rules()["groups"] for rule in group["rules"]]
    for alert in (rule for rule in alerts if "alert" in rule):
        assert alert["labels"]["severity"] == "warning"
        assert set(alert["annotations"]) == {"summary"}
        what, todo = alert["annotations"]["summary"].rsplit(": ", 1)
        assert what
        assert todo.split()[0] in {"compare", "look", "raise", "run", "see"}
        assert not alert["annotations"]["summary"].endswith(".")
