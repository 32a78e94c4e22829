"""The second source of the counts, `SOURCE=log`: no rows are held, Elasticsearch counts its log.

After each look the hours of the log in which documents changed are counted anew. Hours that are
long past are counted by the day and later by 30 days, so that memory grows with neither rows nor
age to speak of; a late truth then has that day counted anew.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, Metric
from tenacity import AsyncRetrying, RetryCallState, wait_exponential

from closedloop.log.hourly import HOUR, HourlyCounts, Span
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import Observation
from closedloop.loop.scoring.counts import Counts
from closedloop.loop.scoring.tally import Tally, unpacked
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.kit.labels import LABELS
from closedloop.services.metrics_server.collector import COHORT_HOURS
from closedloop.services.metrics_server.reading import Reading
from closedloop.services.metrics_server.source import Ignored
from closedloop.services.metrics_server.state import OVERLAP_SECONDS

_DAY = 24 * HOUR
# From this age on, documents are counted by spans of this length.
_LENGTHS = ((60 * _DAY, 30 * _DAY), (2 * _DAY, _DAY), (0, HOUR))

_log = structlog.get_logger(__name__)


class FromLog:
    """A source that has the log counted; `run` ends only when cancelled."""

    def __init__(
        self,
        log: HourlyCounts,
        registry: CollectorRegistry,
        *,
        declared: DeclaredOutputs,
        wanted: Callable[[Predictor], bool] = lambda _: True,
        every: float,
        all_every: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`every` and `all_every`: seconds between counts of what changed, and of all."""
        self._log = log
        self._counted: dict[Predictor, Counts] = {}
        self._declared = declared
        self._wanted = wanted
        self._every = every
        self._all_every = all_every
        self._now = now
        self._reason: str | None = "counting the log: no answer yet"
        self._spans: dict[Span, dict[Predictor, bytes]] = {}
        self._totals: defaultdict[Predictor, Tally] = defaultdict(Tally)
        self._unmatched: Counter[int | None] = Counter()
        self._size = 0
        self._latest = 0.0
        self._last_success = self._last_full = time.monotonic()
        self._told = Reading(registry, lambda: time.monotonic() - self._last_success)
        self._recounted = CounterMetric(
            "closedloop_spans_recounted",
            "Hours, days and months of the log counted anew, as documents of theirs changed.",
            registry=registry,
        )

    def observe(self, observation: Observation) -> Ignored:  # noqa: ARG002  # a `Source`
        """Take no event in: the log has them all."""
        return Ignored.IGNORED

    def counted(self) -> Mapping[Predictor, Counts] | None:
        """The counts of the last look; None until everything was counted once."""
        return None if self._reason else self._counted

    def gauges(self) -> Iterator[Metric]:
        """Gauges by which this source is whole: it has no rows to miss and none to compare."""
        if self._reason is None:
            yield GaugeMetricFamily(
                "closedloop_state_complete", "1 while every row known of is counted.", 1
            )
            mismatch = GaugeMetricFamily(
                "closedloop_replay_mismatch",
                "Counts that differ from the log's, at the last quiet moment.",
                labels=LABELS,
            )
            for predictor in sorted(self._counted):
                mismatch.add_metric(predictor, 0)
            yield mismatch

    def why_not_ready(self) -> str | None:
        """The reason why not everything in the log was counted yet, None once it was."""
        return self._reason

    async def run(self) -> None:
        """Count everything, trying until that succeeds, then what changes, for ever."""
        trying = AsyncRetrying(wait=wait_exponential(0.1, max=5), before_sleep=self._not_yet)
        await trying(self.look, everything=True)
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.look(everything=time.monotonic() - self._last_full >= self._all_every)
            # The next look may succeed, and the counts are right as of the one before.
            except Exception as error:  # noqa: BLE001
                self._told.errors.inc()
                _log.warning("the log was not counted, trying again", error=str(error))

    def _not_yet(self, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        self._told.errors.inc()
        self._reason = f"cannot count the log in Elasticsearch, trying again: {error}"
        _log.warning("the log was not counted, trying again", error=str(error))

    async def look(self, *, everything: bool = False) -> None:
        """Have counted what changed since the last look, or everything there is."""
        started, now = time.monotonic(), self._now()
        self._coarsen(now)
        size = await self._log.size()
        # The logger deletes feedback without an answer only, when it brings it to its answer. If
        # more is gone, somebody deleted documents or the search server lost them.
        everything = everything or size < self._size - self._unmatched.total()
        unmatched = await self._log.unmatched()
        changed = await self._log.changed(None if everything else self._latest - OVERLAP_SECONDS)
        hours = {*changed.hours}
        hours |= {
            hour for hour in unmatched | self._unmatched if unmatched[hour] != self._unmatched[hour]
        }
        spans = {_span(hour, now) for hour in hours}
        if everything:
            spans |= self._spans.keys()
        done = 0
        async for counted in self._log.count(spans, int(now) // HOUR - COHORT_HOURS):
            for span, tallies in counted.items():
                self._replace(span, tallies)
            done += len(counted)
            if self._reason:
                self._reason = f"counting the log: {done} of {len(spans)} spans of time counted"
        self._recounted.inc(len(spans))
        self._publish()
        self._size, self._unmatched = size, unmatched
        # A logger whose clock is ahead must not hide the documents of others.
        self._latest = max(self._latest, min(changed.latest, now))
        self._reason = None
        self._last_success = started
        if everything:
            self._last_full = started

    def _replace(self, span: Span, counted: dict[Predictor, Tally]) -> None:
        for predictor, packed in self._spans.pop(span, {}).items():
            self._totals[predictor].add(unpacked(packed), -1)
        for predictor, tally in counted.items():
            if self._wanted(predictor):
                self._totals[predictor].add(tally)
                self._spans.setdefault(span, {})[predictor] = tally.packed()

    def _publish(self) -> None:
        self._declared.refresh()
        oldest = int(self._now()) // HOUR - COHORT_HOURS
        for predictor, tally in self._totals.items():
            if predictor in self._counted or tally.counts:
                tally.forget_cohorts(oldest)
                self._told.know(predictor)
                self._counted[predictor] = tally.as_counts(self._declared.of(predictor))

    def _coarsen(self, now: float) -> None:
        """Join the spans that have become so old that they are counted together."""
        for span in [span for span in self._spans if span and _span(span[0], now) != span]:
            together = self._spans.setdefault(_span(span[0], now), {})
            for predictor, packed in self._spans.pop(span).items():
                tally = unpacked(packed)
                if predictor in together:
                    tally.add(unpacked(together[predictor]))
                together[predictor] = tally.packed()


def _span(hour: int | None, now: float) -> Span:
    """The span in which documents of an hour are counted."""
    if hour is None:
        return None
    for age, length in _LENGTHS:
        start = hour - hour % length
        if start + length <= now - age:
            break
    return start, start + length
