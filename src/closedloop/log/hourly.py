"""Counts of the log that follow its changes, added up by Elasticsearch over the scores in it.

A document's score changes with late and corrected truths, and nobody keeps the score before. So
documents are counted by a part of them that never changes: the hour of their first write. A change
shows by `logged_at`, and then the whole hour of its document is counted anew: an hour in which
nothing changes any more is exact, whatever happened to its documents and however often. Hours are
counted many at a time: a search costs the server far more than an hour of a few documents does.

Only feedback without an answer is ever deleted, when the logger brings it to its answer. Such an
hour is known by how many of these it has.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from closedloop.log.counts import Buckets
from closedloop.log.inference_log import InferenceLog, owner_of
from closedloop.log.operations import FIRST_WRITE
from closedloop.log.period import Filter
from closedloop.loop import rfc3339
from closedloop.loop.keys import OWNER, Predictor
from closedloop.loop.scoring.sums import ExactSum
from closedloop.loop.scoring.tally import Tally
from closedloop.loop.scoring.times import DELAYS
from closedloop.loop.scoring.verdict import SUMS

HOUR = 3600
Span = tuple[int, int] | None
"""Seconds since the epoch, from and until, of a length of which the start is a multiple; None:
documents that do not tell their first write."""
Tallies = dict[Predictor, Tally]

_TOGETHER = 24  # spans that are counted together: the tallies of all are in memory meanwhile

_SCORE = ("state", "reason", "correct", "predicted", "actual")
_ANSWERED, _JUDGED, _DELAY = "response.ce-time", "feedback.ce-time", "delay_seconds"
_HOURS: Mapping[str, Any] = {
    "hours": {"date_histogram": {"field": FIRST_WRITE, "fixed_interval": "1h", "min_doc_count": 1}},
    "unknown": {"missing": {"field": FIRST_WRITE}},
}
_SUMS = {name: {"stats": {"field": f"score.{name}"}} for name in SUMS}


@dataclass(frozen=True, slots=True)
class Changed:
    """The documents written since a moment: by the hour of their first write (seconds since the
    epoch; None: unknown), and when the last of them was written, 0 without any."""

    hours: Counter[int | None]
    latest: float


class HourlyCounts:
    """The counts of a log; methods raise as those of `InferenceLog` do."""

    def __init__(self, log: InferenceLog) -> None:
        self._log = log

    async def changed(self, since: float | None) -> Changed:
        """The documents that a logger wrote since a moment, by its own clock; None: all."""
        filters: list[Filter] = []
        if since is not None:
            filters.append({"range": {"logged_at": {"gte": rfc3339.written(since)}}})
        return await self._hours(filters)

    async def unmatched(self) -> Counter[int | None]:
        """The feedback without an answer, by the hour of its first write."""
        return (await self._hours([{"term": {"score.state": "unmatched"}}])).hours

    async def size(self) -> int:
        """The number of documents."""
        return await self._log.size()

    async def count(
        self, spans: Iterable[Span], cohorts_since: int
    ) -> AsyncIterator[dict[Span, Tallies]]:
        """The tally of each predictor's documents first written in each of the spans, some spans
        at a time.

        Answers before `cohorts_since`, in hours since the epoch, are in no cohort.
        """
        for some in _together(spans):
            yield await self._count(some, cohorts_since)

    async def _count(self, spans: Sequence[Span], cohorts_since: int) -> dict[Span, Tallies]:
        counted: dict[Span, Tallies] = {span: {} for span in spans}
        within = _first_written(spans)
        score = [f"score.{name}" for name in _SCORE]
        filters = [within, _has("score.state")]
        async for tally, bucket in self._each(counted, filters, OWNER, _SUMS, score):
            _add_score(tally, bucket)
        filters = [within, _has(_ANSWERED)]
        async for tally, bucket in self._each(counted, filters, OWNER, _times(cohorts_since)):
            _add_times(tally, bucket)
        tallies = (tally for of_one in counted.values() for tally in of_one.values())
        if any(tally.counts["label_rows",] for tally in tallies):
            await self._add_labels(counted, within)
        return counted

    async def _add_labels(self, counted: dict[Span, Tallies], within: Filter) -> None:
        predicted, actual = (f"score.{kind}_labels" for kind in ("predicted", "actual"))
        for fields in ((predicted,), (actual,), (predicted, actual)):
            filters = [within, *map(_has, fields)]
            async for tally, bucket in self._each(counted, filters, (*OWNER, *fields)):
                labels = [bucket["key"][field] for field in fields]
                kind = "both" if len(fields) > 1 else fields[0][len("score.") : -len("_labels")]
                if len(set(labels)) == 1:
                    tally.counts[kind, labels[0]] += bucket["doc_count"]

    async def _each(
        self,
        counted: dict[Span, Tallies],
        filters: list[Filter],
        fields: Sequence[str],
        within: Mapping[str, Any] | None = None,
        optional: Sequence[str] = (),
    ) -> AsyncIterator[tuple[Tally, Mapping[str, Any]]]:
        """Each bucket, and the tally to which it belongs."""
        length = _length(next(iter(counted)))
        every = (FIRST_WRITE, length) if length else None
        buckets = Buckets(fields, within, optional=optional, every=every)
        async for bucket in self._log.buckets(buckets, {"bool": {"filter": filters}}):
            start = int(bucket["key"]["time"]) // 1000 if length else 0
            tallies = counted[(start, start + length) if length else None]
            yield tallies.setdefault(owner_of(bucket), Tally()), bucket

    async def _hours(self, filters: list[Filter]) -> Changed:
        asked = {**_HOURS, "latest": {"max": {"field": "logged_at"}}}
        answer = await self._log.aggregate(asked, {"bool": {"filter": filters}})
        hours: Counter[int | None] = Counter()
        # Without any index there is no aggregation either.
        if not (found := answer.get("aggregations")):
            return Changed(hours, 0.0)
        for bucket in found["hours"]["buckets"]:
            hours[int(bucket["key"]) // 1000] = bucket["doc_count"]
        if unknown := found["unknown"]["doc_count"]:
            hours[None] = unknown
        return Changed(hours, (found["latest"]["value"] or 0.0) / 1000)


def _length(span: Span) -> int:
    """The seconds of a span, 0 for that of documents that do not tell their first write."""
    return span[1] - span[0] if span else 0


def _together(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """The spans in groups of one length, the latest of each length first."""
    latest = sorted(spans, key=lambda span: span or (0, 0), reverse=True)
    for _, group in groupby(sorted(latest, key=_length), _length):
        of_length = list(group)
        for i in range(0, len(of_length), _TOGETHER):
            yield of_length[i : i + _TOGETHER]


def _first_written(spans: Sequence[Span]) -> Filter:
    ranges: list[Filter] = []
    for span in spans:
        if span is None:
            return {"bool": {"must_not": [_has(FIRST_WRITE)]}}
        start, end = (second * 1000 for second in span)
        between = {"gte": start, "lt": end, "format": "epoch_millis"}
        ranges.append({"range": {FIRST_WRITE: between}})
    return {"bool": {"should": ranges}}


def _has(field: str) -> Filter:
    return {"exists": {"field": field}}


def _times(cohorts_since: int) -> dict[str, Any]:
    since = cohorts_since * HOUR * 1000
    recent = {"range": {_ANSWERED: {"gte": since, "format": "epoch_millis"}}}
    hours = {"field": _ANSWERED, "fixed_interval": "1h", "min_doc_count": 1}
    within = {str(i): {"range": {_DELAY: {"lte": bound}}} for i, bound in enumerate(DELAYS)}
    return {
        "delays": {"stats": {"field": _DELAY}},
        "within": {"filters": {"filters": within}},
        "recent": {
            "filter": recent,
            "aggs": {
                "hours": {
                    "date_histogram": hours,
                    "aggs": {"judged": {"filter": _has(_JUDGED)}},
                }
            },
        },
    }


def _add_score(tally: Tally, bucket: Mapping[str, Any]) -> None:
    state, reason, correct, *cell = (bucket["key"][f"score.{name}"] for name in _SCORE)
    count = bucket["doc_count"]
    tally.counts["state", state] += count
    if reason is not None:
        tally.counts["reason", reason] += count
    if correct is not None:
        tally.counts["correct", correct in (True, "true")] += count
    sums = {name: ExactSum.of(bucket[name]["sum"], bucket[name]["count"]) for name in SUMS}
    for name, added in sums.items():
        if added.count:
            tally.sums[name].merge(added)
    if None not in cell:
        tally.counts[("cell", *cell)] += count
    elif state == "scored":
        # The rest is scored by several labels: such a row need not have a single one.
        tally.counts["label_rows",] += count - sums["error"].count - sums["reward"].count


def _add_times(tally: Tally, bucket: Mapping[str, Any]) -> None:
    delays = bucket["delays"]
    within = [bucket["within"]["buckets"][str(i)]["doc_count"] for i in range(len(DELAYS))]
    if delays["count"]:
        tally.add_delays(within, delays["count"], delays["sum"])
    for hour in bucket["recent"]["hours"]["buckets"]:
        answered, judged = hour["doc_count"], hour["judged"]["doc_count"]
        for was, count in ((True, judged), (False, answered - judged)):
            if count:
                tally.counts["cohort", int(hour["key"]) // (HOUR * 1000), was] += count
