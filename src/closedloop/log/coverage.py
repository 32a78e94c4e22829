"""The share of answers that are judged by now, and the time that it takes.

Accuracy is that of the judged rows. Answers of the last hours are mostly not judged yet, and the
first truths to come need not be like the rest: such a cohort is marked as incomplete.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from elasticsearch import Elasticsearch

from closedloop.log.counts import by_interval
from closedloop.log.pages import Log, open_log
from closedloop.log.period import ALWAYS, Filter, Period

_ANSWER_TIME = "response.ce-time"
_DELAY = "delay_seconds"
_JUDGED: Filter = {"exists": {"field": "feedback.ce-time"}}
_LATE = 90.0
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Delays:
    """The time from an answer to the truth that counts, in seconds; None where none came."""

    judged: int
    median: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class Cohort:
    """The rows answered from `start` on, for one interval, and how many are judged by now.

    It is `complete` when its last answer is older than nine in ten truths take to come.
    """

    start: datetime
    answered: int
    judged: int
    complete: bool

    @property
    def coverage(self) -> float:
        return self.judged / self.answered


def delays(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    predictor: str = "default",
    period: Period = ALWAYS,
) -> Delays:
    """Measure how long truths take. Raises NothingLoggedError when the predictor has no log."""
    return _delays(client, open_log(client, namespace, deployment, predictor), period)


def coverage_by_cohort(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    predictor: str = "default",
    period: Period = ALWAYS,
    *,
    every: str = "1h",
    now: datetime | None = None,
) -> list[Cohort]:
    """Count the rows answered in each interval, and those of them that are judged by now.

    Intervals without an answer are left out. Raises NothingLoggedError when the
    predictor has no log, ValueError for an interval that is none.
    """
    aggs = by_interval(_ANSWER_TIME, every, {"judged": {"filter": _JUDGED}})
    log = open_log(client, namespace, deployment, predictor)
    found = log.aggregate(client, period.filters(), aggs)["aggregations"]
    p90 = _delays(client, log, period).p90
    length = timedelta(**{_UNITS[every[-1]]: int(every[:-1])})
    cohorts = []
    for bucket in found["times"]["buckets"]:
        start = datetime.fromtimestamp(bucket["key"] / 1000, UTC)
        age = ((now or datetime.now(UTC)) - start - length).total_seconds()
        cohorts.append(
            Cohort(
                start,
                answered=bucket["doc_count"],
                judged=bucket["judged"]["doc_count"],
                complete=p90 is not None and age >= p90,
            )
        )
    return cohorts


def _delays(client: Elasticsearch, log: Log, period: Period) -> Delays:
    answer = client.search(
        index=log.index,
        size=0,
        query={
            "bool": {"filter": [{"exists": {"field": _DELAY}}, *log.filters, *period.filters()]}
        },
        track_total_hits=True,
        aggs={"delays": {"percentiles": {"field": _DELAY, "percents": [50.0, _LATE]}}},
    )
    found = answer["aggregations"]["delays"]["values"]
    judged = answer["hits"]["total"]["value"]
    if not judged:
        return Delays(0, None, None)
    return Delays(judged, found["50.0"], found[f"{_LATE}"])
