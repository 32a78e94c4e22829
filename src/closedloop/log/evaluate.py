"""Evaluation of a predictor in a past period, aggregated by Elasticsearch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from elasticsearch import Elasticsearch

from closedloop.log.counts import (
    CELL,
    OUTCOMES,
    Buckets,
    by_interval,
    matrix_of,
    right_and_wrong,
    states_in,
)
from closedloop.log.measures import AGGREGATIONS, Measures
from closedloop.log.pages import SCORED, Log, open_log
from closedloop.log.period import ALWAYS, FEEDBACK_TIME, REQUEST_TIME, Filter, Period
from closedloop.loop.scoring import ConfusionMatrix
from closedloop.loop.scoring.reading import REASONS
from closedloop.loop.scoring.verdict import STATES


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """The measures of one class, one against the rest; None where undefined.

    `support` is the number of rows that truly are of this class.
    """

    label: str
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The counts of one predictor in one period.

    `correct` and `incorrect` count every scored row, `matrix` those with a
    truth (feedback with a reward alone says no class). `states` counts the
    rows by `closedloop.loop.scoring.verdict.STATES`, `reasons` the unscorable ones by
    why. `measures` are those that fit the predictor's answers.
    """

    predictor: str
    correct: int
    incorrect: int
    matrix: ConfusionMatrix
    states: Mapping[str, int]
    reasons: Mapping[str, int] = field(default_factory=dict)
    measures: Measures = field(default_factory=Measures)

    @property
    def answered(self) -> int:
        """Rows with an answer, whether there is feedback about them or not."""
        return sum(self.states.values()) - self.states["unmatched"]

    @property
    def scored(self) -> int:
        return self.correct + self.incorrect

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.scored if self.scored else None

    @property
    def coverage(self) -> float | None:
        """The share of the answered rows that are scored."""
        return self.scored / self.answered if self.answered else None

    def by_class(self) -> list[ClassMeasures]:
        """The measures of every class that was predicted or true, by label."""
        matrix = self.matrix
        return [
            ClassMeasures(
                label,
                matrix.precision(label),
                matrix.recall(label),
                matrix.specificity(label),
                matrix.f1(label),
                support=matrix.one_vs_rest(label)[0] + matrix.one_vs_rest(label)[2],
            )
            for label in matrix.classes
        ]


@dataclass(frozen=True, slots=True)
class Slice:
    """Right and wrong answers from `start` on, for one interval."""

    start: datetime
    correct: int
    incorrect: int

    @property
    def accuracy(self) -> float:
        return self.correct / (self.correct + self.incorrect)


def evaluate(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    predictor: str = "default",
    period: Period = ALWAYS,
) -> Evaluation:
    """Count right and wrong answers, and confusions, of one predictor in a period.

    Raises NothingLoggedError when it has no log.
    """
    log = open_log(client, namespace, deployment, predictor)
    filters = period.filters()
    reasons = {"terms": {"field": "score.reason", "size": len(REASONS)}}
    answer = log.aggregate(client, filters, {**OUTCOMES, "reasons": reasons, **AGGREGATIONS})[
        "aggregations"
    ]
    correct, incorrect = right_and_wrong(answer)
    return Evaluation(
        predictor,
        correct,
        incorrect,
        matrix=matrix_of(_cells(client, log, filters)),
        states=dict.fromkeys(STATES, 0) | states_in(answer),
        reasons={bucket["key"]: bucket["doc_count"] for bucket in answer["reasons"]["buckets"]},
        measures=Measures.read(answer),
    )


def over_time(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    predictor: str = "default",
    period: Period = ALWAYS,
    *,
    every: str = "1h",
    by: Literal["request", "feedback"] = "request",
) -> list[Slice]:
    """Right and wrong answers in intervals of a fixed length, such as `1h` or `30s`.

    `by` says whether a row belongs to the time of its request or of its latest
    feedback. Intervals in which nothing was scored are left out. Raises
    NothingLoggedError when the predictor has no log, ValueError for an interval
    that is none.
    """
    field = REQUEST_TIME if by == "request" else FEEDBACK_TIME
    aggs = by_interval(field, every, {"correct": OUTCOMES["correct"]})
    log = open_log(client, namespace, deployment, predictor)
    found = log.aggregate(client, [SCORED, *period.filters()], aggs)
    return [
        Slice(datetime.fromtimestamp(bucket["key"] / 1000, UTC), *right_and_wrong(bucket))
        for bucket in found["aggregations"]["times"]["buckets"]
    ]


def _cells(
    client: Elasticsearch, log: Log, filters: Sequence[Filter]
) -> Iterator[Mapping[str, Any]]:
    """A bucket for each cell of the confusion matrix: classes may be many."""
    cells = Buckets(CELL)
    while not cells.done:
        yield from cells.read(log.aggregate(client, [SCORED, *filters], cells.aggregations))
