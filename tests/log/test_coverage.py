from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch

from closedloop.log import NothingLoggedError, Period, coverage_by_cohort, delays
from tests.inference_log import Log


@pytest.fixture
def search_with_log(search: Elasticsearch) -> Elasticsearch:
    """Four answers at 0, 1 and 5 o'clock; all, half and none of them judged within the hour."""
    log = Log()
    for hour, judged in ((0, 4), (1, 2), (5, 0)):
        for i in range(4):
            name = f"r{hour}-{i}"
            log.answer(name, 0, time=f"2026-01-01T0{hour}:00:00Z")
            if i < judged:
                log.judge(name, 0, time=f"2026-01-01T0{hour}:{15 * i:02}:00Z")
    log.write(search)
    return search


def test_tells_how_much_is_judged_and_whether_more_may_come(search_with_log: Elasticsearch) -> None:
    now = datetime(2026, 1, 1, 6, 10, tzinfo=UTC)
    cohorts = coverage_by_cohort(search_with_log, "ns", "dep", now=now)
    assert [(each.start.hour, each.answered, each.judged) for each in cohorts] == [
        (0, 4, 4), (1, 4, 2), (5, 4, 0)
    ]  # fmt: skip
    assert [each.coverage for each in cohorts] == [1.0, 0.5, 0.0]
    assert [each.complete for each in cohorts] == [True, True, False]
    later = datetime(2026, 1, 1, 7, tzinfo=UTC)
    assert coverage_by_cohort(search_with_log, "ns", "dep", now=later)[-1].complete


def test_tells_how_long_truths_take(search_with_log: Elasticsearch) -> None:
    found = delays(search_with_log, "ns", "dep")
    assert found.judged == 6
    assert found.median == pytest.approx(900, abs=450)
    assert found.p90 == pytest.approx(2700, abs=900)
    none = delays(search_with_log, "ns", "dep", period=Period(since="2026-01-01T05:00:00Z"))
    assert (none.judged, none.median, none.p90) == (0, None, None)


def test_nothing_is_complete_before_the_first_truth(search: Elasticsearch) -> None:
    log = Log()
    log.answer("r", 0)
    log.write(search)
    (cohort,) = coverage_by_cohort(search, "ns", "dep", every="1d")
    assert (cohort.answered, cohort.judged, cohort.complete) == (1, 0, False)


def test_a_correction_counts_from_the_answer_to_the_latest(search: Elasticsearch) -> None:
    log = Log()
    log.answer("r", 0, time="2026-01-01T00:00:00Z")
    for hour in (2, 1):
        log.judge("r", 0, time=f"2026-01-01T0{hour}:00:00Z")
    log.answer("early", 0, time="2026-01-01T00:00:00Z")
    log.judge("early", 0, time="2025-12-31T00:00:00Z")
    log.write(search)
    found = [log.documents[key]["delay_seconds"] for key in log.documents]
    assert found == [7200.0, 0.0]


def test_what_is_not_there_is_an_error(search: Elasticsearch) -> None:
    with pytest.raises(NothingLoggedError):
        delays(search, "ns", "dep")
    with pytest.raises(ValueError, match="'hourly'"):
        coverage_by_cohort(search, "ns", "dep", every="hourly")
