"""Durations by label, as a histogram and as a summary with quantiles.

prometheus_client's own Summary has no quantiles; Seldon's executor exposes
both forms of each duration, so one collector keeps both.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import ceil, inf, nan
from time import monotonic

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

# Seldon Core, `executor/api/metric/constants.go`.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf)
QUANTILES = (0.5, 0.75, 0.9, 0.98, 0.99, 1.0)

# Go's client looks back ten minutes with a sketch; here the values themselves are
# kept, and past this many the oldest go, so that memory is bounded too.
_WINDOW = 600.0
_KEPT = 5_000


class Latency(Collector):
    """Durations in seconds: `<name>` is the histogram, `<name>_summary` the summary."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._clock = clock
        self._series: dict[tuple[str, ...], _Series] = {}

    def observe(self, labels: Sequence[str], seconds: float) -> None:
        """Count one duration under these label values, in the order of the label names."""
        series = self._series.setdefault(tuple(labels), _Series())
        series.counts[bisect_left(BUCKETS, seconds)] += 1
        series.total += seconds
        series.recent.append((self._clock(), seconds))

    def collect(self) -> Iterator[Metric]:
        histogram = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        summary = Metric(f"{self._name}_summary", self._documentation, "summary")
        for values, series in self._series.items():
            histogram.add_metric(list(values), series.cumulative(), series.total)
            labels = dict(zip(self._labels, values, strict=True))
            for quantile, seconds in series.quantiles(self._clock() - _WINDOW):
                marked = {**labels, "quantile": _go(quantile)}
                summary.add_sample(summary.name, marked, seconds)
            summary.add_sample(f"{summary.name}_sum", labels, series.total)
            summary.add_sample(f"{summary.name}_count", labels, sum(series.counts))
        yield histogram
        yield summary


class _Series:
    def __init__(self) -> None:
        self.counts = [0] * len(BUCKETS)
        self.total = 0.0
        self.recent: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def cumulative(self) -> list[tuple[str, float]]:
        seen = 0
        buckets = []
        for bound, count in zip(BUCKETS, self.counts, strict=True):
            seen += count
            buckets.append((_go(bound), float(seen)))
        return buckets

    def quantiles(self, since: float) -> Iterator[tuple[float, float]]:
        """The smallest recent value that at least that share of them does not exceed."""
        while self.recent and self.recent[0][0] < since:
            self.recent.popleft()
        values = sorted(seconds for _, seconds in self.recent)
        for quantile in QUANTILES:
            yield quantile, values[ceil(quantile * len(values)) - 1] if values else nan


def _go(bound: float) -> str:
    """A bound as Go writes it: 1, 0.005, +Inf."""
    return "+Inf" if bound == inf else f"{bound:g}"
