from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.log import NothingLoggedError, Period, evaluate, over_time
from closedloop.log.period import Moment
from closedloop.loop.keys import index_name
from closedloop.loop.scoring import Scoreboard
from closedloop.loop.scoring.reading import read_answer
from closedloop.loop.scoring.scoreboard import Feedback
from tests.inference_log import NUMBERED, Log, empty


def test_counts_measures_and_coverage(search: Elasticsearch) -> None:
    log = Log()
    for i, (predicted, actual) in enumerate([(0, 0), (0, 0), (0, 1), (1, 1), (2, 1)]):
        log.answer(f"r{i}", predicted)
        log.judge(f"r{i}", actual)
    log.answer("no truth", 2)
    log.judge("no answer", 2)
    log.write(search)
    seen = evaluate(search, "ns", "dep")
    assert (seen.correct, seen.incorrect, seen.accuracy) == (3, 2, 0.6)
    assert seen.matrix.counts() == {("0", "0"): 2, ("0", "1"): 1, ("1", "1"): 1, ("2", "1"): 1}
    assert seen.states == {"scored": 5, "unlabelled": 1, "unmatched": 1, "unscorable": 0}
    assert (seen.answered, seen.coverage) == (6, 5 / 6)
    one = {measures.label: measures for measures in seen.by_class()}["1"]
    assert (one.precision, one.recall, one.specificity, one.support) == (1.0, 1 / 3, 1.0, 3)


@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=40))
def test_the_aggregation_is_the_fold(
    search: Elasticsearch, rows: list[tuple[int, int | None]]
) -> None:
    empty(search)
    log, board = Log(), Scoreboard(NUMBERED)
    log.answer("first", 0)
    board.answer("first", "1", [read_answer(NUMBERED, [0])])
    for i, (predicted, actual) in enumerate(rows):
        log.answer(f"r{i}", predicted)
        board.answer(f"r{i}", "1", [read_answer(NUMBERED, [predicted])])
        if actual is not None:
            log.judge(f"r{i}", actual)
            board.judge(f"r{i}", "1", Feedback((actual,)))
    log.write(search)
    seen = evaluate(search, "ns", "dep")
    assert seen.matrix == board.matrix
    assert (seen.correct, seen.incorrect) == (board.correct, board.incorrect)
    assert seen.states == board.states


@pytest.mark.parametrize("cells", [pytest.param(999, marks=pytest.mark.nightly), 1000, 1001])
def test_all_confusions_are_counted_whatever_the_page(search: Elasticsearch, cells: int) -> None:
    log = Log()
    log.answer("batch", *range(cells))
    log.judge("batch", *[0] * cells)
    log.write(search)
    matrix = evaluate(search, "ns", "dep").matrix
    assert (len(matrix.counts()), matrix.correct) == (cells, 1)


def test_a_reward_counts_without_a_class(search: Elasticsearch) -> None:
    log = Log()
    log.answer("r", 1)
    log.add("io.seldon.serving.feedback", "r", {"reward": 1}, "2026-01-01T01:00:00Z", "default")
    log.write(search)
    seen = evaluate(search, "ns", "dep")
    assert (seen.correct, seen.incorrect, seen.matrix.total) == (1, 0, 0)


@pytest.mark.parametrize(
    ("period", "counted"),
    [
        (Period(), 4),
        (Period(since="2026-01-02T00:00:00Z"), 3),
        (Period(since=datetime(2026, 1, 2, tzinfo=UTC), until="2026-01-03T00:00:00Z"), 1),
        (Period(until=datetime(2026, 1, 3)), 2),  # noqa: DTZ001 - no offset means UTC
        (Period(since="2026-01-02T01:00:00+01:00"), 3),
        (Period(feedback_since="2026-02-03T00:00:00Z"), 2),
        (Period(feedback_until="2026-02-03T00:00:00Z"), 2),
        (Period(since="2026-01-02T00:00:00Z", feedback_until="2026-02-03T00:00:00Z"), 1),
    ],
)
def test_filters_by_date_of_request_and_of_feedback(
    search: Elasticsearch, period: Period, counted: int
) -> None:
    log = Log()
    for day in range(1, 5):
        log.answer(f"r{day}", 0, time=f"2026-01-0{day}T00:00:00Z")
        log.judge(f"r{day}", 0, time=f"2026-02-0{day}T00:00:00Z")
    log.write(search)
    seen = evaluate(search, "ns", "dep", period=period)
    assert seen.correct == seen.matrix.total == seen.states["scored"] == counted


def test_accuracy_by_hour_of_request_and_of_feedback(search: Elasticsearch) -> None:
    log = Log()
    for minute, (hour, truth) in enumerate([(0, 1), (0, 1), (0, 0), (5, 1)]):
        log.answer(f"r{minute}", 1, time=f"2026-01-01T0{hour}:0{minute}:00Z")
        log.judge(f"r{minute}", truth, time="2026-01-02T10:59:59.999999999Z")
    log.answer("unlabelled", 1)
    log.write(search)
    by_request = over_time(search, "ns", "dep")
    assert [(s.start.hour, s.correct, s.incorrect) for s in by_request] == [(0, 2, 1), (5, 1, 0)]
    assert by_request[0].accuracy == 2 / 3
    by_feedback = over_time(search, "ns", "dep", by="feedback", every="1d")
    assert [(s.start, s.correct) for s in by_feedback] == [(datetime(2026, 1, 2, tzinfo=UTC), 3)]


def test_each_predictor_has_its_own_log(search: Elasticsearch) -> None:
    log = Log()
    for predictor, truth in (("default", 0), ("shadow", 1)):
        log.answer("r", 0, predictor=predictor)
        log.judge("r", truth, predictor=predictor)
    log.write(search)
    accuracies = [evaluate(search, "ns", "dep", name).accuracy for name in ("default", "shadow")]
    assert accuracies == [1.0, 0.0]


def test_no_log_is_an_error_that_names_the_index(search: Elasticsearch) -> None:
    with pytest.raises(NothingLoggedError, match=index_name("ns", "dep", "default")):
        evaluate(search, "ns", "dep")


@pytest.mark.parametrize(
    ("since", "until"),
    [("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ("yesterday", None)],
)
def test_a_period_that_is_none_is_refused(since: Moment, until: Moment | None) -> None:
    with pytest.raises(ValueError, match=r"swap the two|RFC 3339"):
        Period(since, until)


def test_an_interval_that_is_none_is_refused(search: Elasticsearch) -> None:
    with pytest.raises(ValueError, match="'hourly'"):
        over_time(search, "ns", "dep", every="hourly")
