"""Counts that Elasticsearch adds up over the scores in the log: outcomes and confusions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from closedloop.loop.scoring import ConfusionMatrix
from closedloop.loop.scoring.verdict import STATES

CELL = ("score.predicted", "score.actual")
"""The fields of a cell of the confusion matrix."""

OUTCOMES: Mapping[str, Any] = {
    "states": {"terms": {"field": "score.state", "size": len(STATES)}},
    "correct": {
        "filters": {
            "filters": {
                said: {"term": {"score.correct": said == "true"}} for said in ("true", "false")
            }
        }
    },
}
"""The aggregations that `states_in` and `right_and_wrong` read."""

_INTERVAL = re.compile(r"[1-9]\d*[smhd]")
_PAGE = 1000


class Buckets:
    """A composite aggregation: a bucket for each combination of values of `fields`, in pages.

    `within` are aggregations in each bucket. A document without one of the `optional` fields has
    None for it, one without another field is left out. With `every`, which is a field of times
    and a number of seconds, buckets are by the interval of the epoch as well, and in its order:
    its start, in milliseconds, has the key `time`. Search with `aggregations` and give the answer
    to `read`, until it is `done`.
    """

    def __init__(
        self,
        fields: Sequence[str],
        within: Mapping[str, Any] | None = None,
        *,
        optional: Sequence[str] = (),
        every: tuple[str, int] | None = None,
    ) -> None:
        self.done = False
        self._composite: dict[str, Any] = {
            "size": _PAGE,
            "sources": ([_interval(*every)] if every else [])
            + [{field: {"terms": {"field": field}}} for field in fields]
            + [{field: {"terms": {"field": field, "missing_bucket": True}}} for field in optional],
        }
        self._within = within or {}

    @property
    def aggregations(self) -> dict[str, Any]:
        """The aggregations of the next search."""
        return {"buckets": {"composite": self._composite, "aggregations": self._within}}

    def read(self, answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The buckets of one page, from the answer to a search."""
        # Without any index there is no aggregation either.
        found = answer.get("aggregations", {}).get("buckets", {})
        self.done = "after_key" not in found
        self._composite["after"] = found.get("after_key")
        buckets: list[Mapping[str, Any]] = found.get("buckets", [])
        return buckets


def _interval(field: str, seconds: int) -> dict[str, Any]:
    return {"time": {"date_histogram": {"field": field, "fixed_interval": f"{seconds}s"}}}


def by_interval(field: str, every: str, within: Mapping[str, Any]) -> dict[str, Any]:
    """A search's aggregation `times`: a bucket for each interval in which `field` has a time.

    `every` is the length of an interval, such as `1h` or `30s`. Raises ValueError for one that
    is none.
    """
    if not _INTERVAL.fullmatch(every):
        raise ValueError(f"every is {every!r}: give a number of s, m, h or d, such as '1h'")
    histogram = {"field": field, "fixed_interval": every, "min_doc_count": 1}
    return {"times": {"date_histogram": histogram, "aggs": within}}


def states_in(counted: Mapping[str, Any]) -> dict[str, int]:
    """The number of rows in each state, from an answer or a bucket with `OUTCOMES`."""
    return {bucket["key"]: bucket["doc_count"] for bucket in counted["states"]["buckets"]}


def right_and_wrong(counted: Mapping[str, Any]) -> tuple[int, int]:
    """The numbers of right and of wrong rows, from an answer or a bucket with `OUTCOMES`."""
    buckets = counted["correct"]["buckets"]
    return buckets["true"]["doc_count"], buckets["false"]["doc_count"]


def matrix_of(buckets: Iterable[Mapping[str, Any]]) -> ConfusionMatrix:
    """The confusion matrix of buckets by `CELL`."""
    matrix = ConfusionMatrix()
    for bucket in buckets:
        predicted, actual = (bucket["key"][field] for field in CELL)
        matrix.add(predicted, actual, bucket["doc_count"])
    return matrix
