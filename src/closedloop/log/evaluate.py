"""How good a predictor was in a past period, aggregated by Elasticsearch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from elasticsearch import Elasticsearch

from closedloop.log.measures import AGGREGATIONS, Measures
from closedloop.log.pages import SCORED, Log, open_log
from closedloop.log.period import ALWAYS, FEEDBACK_TIME, REQUEST_TIME, Filter, Period
from closedloop.loop.scoring import ConfusionMatrix
from closedloop.loop.scoring.reading import REASONS
from closedloop.loop.scoring.verdict import STATES

_RIGHT_AND_WRONG = {
    "filters": {
        "filters": {
            "right": {"term": {"score.correct": True}},
            "wrong": {"term": {"score.correct": False}},
        }
    }
}
INTERVAL = re.compile(r"[1-9]\d*[smhd]")
_PAIRS_AT_ONCE = 1000


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
    why. `measures` are those that fit what the predictor answers.
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
    """What was right and wrong from `start` on, for one interval."""

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
    filters = [*log.filters, *period.filters()]
    answer = client.search(
        index=log.index,
        size=0,
        query={"bool": {"filter": filters}},
        aggs={
            "outcome": _RIGHT_AND_WRONG,
            "states": {"terms": {"field": "score.state", "size": len(STATES)}},
            "reasons": {"terms": {"field": "score.reason", "size": len(REASONS)}},
            **AGGREGATIONS,
        },
    )["aggregations"]
    outcome = answer["outcome"]["buckets"]
    counted = {bucket["key"]: bucket["doc_count"] for bucket in answer["states"]["buckets"]}
    return Evaluation(
        predictor,
        correct=outcome["right"]["doc_count"],
        incorrect=outcome["wrong"]["doc_count"],
        matrix=_confusions(client, log, filters),
        states={state: counted.get(state, 0) for state in STATES},
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
    if not INTERVAL.fullmatch(every):
        raise ValueError(f"every is {every!r}: give a number of s, m, h or d, such as '1h'")
    log = open_log(client, namespace, deployment, predictor)
    buckets = client.search(
        index=log.index,
        size=0,
        query={"bool": {"filter": [SCORED, *log.filters, *period.filters()]}},
        aggs={
            "times": {
                "date_histogram": {
                    "field": REQUEST_TIME if by == "request" else FEEDBACK_TIME,
                    "fixed_interval": every,
                    "min_doc_count": 1,
                },
                "aggs": {"outcome": _RIGHT_AND_WRONG},
            }
        },
    )["aggregations"]["times"]["buckets"]
    return [
        Slice(
            datetime.fromtimestamp(bucket["key"] / 1000, UTC),
            correct=bucket["outcome"]["buckets"]["right"]["doc_count"],
            incorrect=bucket["outcome"]["buckets"]["wrong"]["doc_count"],
        )
        for bucket in buckets
    ]


def _confusions(client: Elasticsearch, log: Log, filters: Sequence[Filter]) -> ConfusionMatrix:
    """Counts by (predicted, actual), paged: classes may be many."""
    matrix = ConfusionMatrix()
    pairs: dict[str, object] = {
        "size": _PAIRS_AT_ONCE,
        "sources": [
            {name: {"terms": {"field": f"score.{name}"}}} for name in ("predicted", "actual")
        ],
    }
    while True:
        page = client.search(
            index=log.index,
            size=0,
            query={"bool": {"filter": [SCORED, *filters]}},
            aggs={"pairs": {"composite": pairs}},
        )["aggregations"]["pairs"]
        for bucket in page["buckets"]:
            matrix.add(bucket["key"]["predicted"], bucket["key"]["actual"], bucket["doc_count"])
        if len(page["buckets"]) < _PAIRS_AT_ONCE:
            return matrix
        pairs["after"] = page["after_key"]
