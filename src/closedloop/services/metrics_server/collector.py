"""The counts as gauges, read at the moment of a scrape."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from closedloop.loop.keys import Predictor
from closedloop.loop.scoring.counts import Counts
from closedloop.loop.scoring.reading import REASONS
from closedloop.loop.scoring.times import DELAYS
from closedloop.services.kit.labels import LABELS
from closedloop.services.metrics_server.source import Source

COHORT_HOURS = 24
MOST_CLASSES = 100
"""Classes of a predictor that have series of their own; the rest is `other`."""

_OTHER = "other"


class _ByClass(Protocol):
    """The measures that confusion matrix and label counts have in common."""

    def precision(self, label: str) -> float | None: ...
    def recall(self, label: str) -> float | None: ...
    def specificity(self, label: str) -> float | None: ...
    def f1(self, label: str) -> float | None: ...


_MEASURES: dict[str, tuple[Callable[[_ByClass, str], float | None], str]] = {
    "precision": (
        lambda counts, label: counts.precision(label),
        "Of the rows answered with a class, the share that has it.",
    ),
    "recall": (
        lambda counts, label: counts.recall(label),
        "Of the rows that have a class, the share answered with it.",
    ),
    "specificity": (
        lambda counts, label: counts.specificity(label),
        "Of the rows that do not have a class, the share not answered with it.",
    ),
    "f1": (
        lambda counts, label: counts.f1(label),
        "Harmonic mean of precision and recall of a class.",
    ),
}
_Value = Callable[[Counts], float | None]
_SINGLE: dict[str, tuple[_Value, str]] = {
    "correct": (lambda board: board.correct, "Rows answered correctly, by the truths known now."),
    "incorrect": (
        lambda board: board.incorrect,
        "Rows answered incorrectly, by the truths known now.",
    ),
    "accuracy": (
        lambda board: _ratio(board.correct, board.correct + board.incorrect),
        "Share correct; of several labels the exact-match ratio, of a regression within tolerance.",
    ),
    "mean_absolute_error": (
        lambda board: board.sums["absolute_error"].mean,
        "Mean of the errors' sizes, of a regression.",
    ),
    "root_mean_squared_error": (
        lambda board: _root(board.sums["squared_error"].mean),
        "Square root of the mean squared error, of a regression.",
    ),
    "bias": (
        lambda board: board.sums["error"].mean,
        "Mean of answer minus truth, of a regression: above 0 it answers too high.",
    ),
    "within_tolerance": (
        lambda board: (
            _ratio(board.correct, board.correct + board.incorrect)
            if board.output is not None and board.output.tolerance is not None
            else None
        ),
        "Share of a regression's rows whose error is within the declared tolerance.",
    ),
    "brier_score": (lambda board: board.sums["brier"].mean, "Mean Brier score of probabilities."),
    "log_loss": (lambda board: board.sums["log_loss"].mean, "Mean log loss of probabilities."),
    "mean_reward": (
        lambda board: board.sums["reward"].mean,
        "Mean of the rewards of rows with a reward and no truth.",
    ),
    "micro_precision": (
        lambda board: board.labels.micro_precision,
        "Precision over all labels together, of rows with several labels.",
    ),
    "micro_recall": (
        lambda board: board.labels.micro_recall,
        "Recall over all labels together, of rows with several labels.",
    ),
    "micro_f1": (
        lambda board: board.labels.micro_f1,
        "F1 over all labels together, of rows with several labels.",
    ),
}


class CountsCollector(Collector):
    """The counts of a source, of each predictor at one moment. A ratio whose denominator is zero is
    left out."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Every gauge, in time linear in the number of cells and classes.

        Whoever collects may pause between two metrics: those of a predictor are of one moment.
        """
        yield from [*self._source.gauges()]
        for predictor, counts in sorted((self._source.counted() or {}).items()):
            yield from _metrics(predictor, counts, time.time())


def _metrics(predictor: Predictor, counts: Counts, now: float) -> list[Metric]:
    return [
        *_scores(predictor, counts),
        *_by_class(predictor, counts),
        *_times(predictor, counts, now),
    ]


def _scores(predictor: Predictor, board: Counts) -> Iterator[Metric]:
    rows = _by_predictor(
        "closedloop_rows",
        "Rows by their state: scored, unscorable, unlabelled, unmatched.",
        "state",
    )
    reasons = _by_predictor(
        "closedloop_unscorable_rows", "Rows with answer and feedback, by why unscored.", "reason"
    )
    for state, count in board.states.items():
        rows.add_metric((*predictor, state), count)
    for reason in REASONS:
        reasons.add_metric((*predictor, reason), board.reasons[reason])
    yield from (rows, reasons)
    for name, (value, documentation) in _SINGLE.items():
        family = _by_predictor(f"closedloop_{name}", documentation)
        if (number := value(board)) is not None:
            family.add_metric(predictor, number)
        yield family


def _by_class(predictor: Predictor, board: Counts) -> Iterator[Metric]:
    cells = _by_predictor(
        "closedloop_confusion_matrix", "Rows by answer and truth.", "predicted", "actual"
    )
    left_out = _by_predictor(
        "closedloop_classes_left_out", "Classes that are `other` in the series, being too many."
    )
    shown = _most_frequent(board)
    left_out.add_metric(
        predictor, max(0, len(board.matrix.classes) + len(board.labels.labels) - len(shown))
    )
    for (predicted, actual), count in _bounded(board, shown).items():
        cells.add_metric((*predictor, predicted, actual), count)
    yield from (cells, left_out)
    counts: _ByClass = board.labels if board.labels.rows else board.matrix
    for name, (measure, documentation) in _MEASURES.items():
        of_class = _by_predictor(f"closedloop_{name}", documentation, "class")
        macro = _by_predictor(f"closedloop_macro_{name}", f"Plain mean of {name} over the classes.")
        values = []
        for label in board.labels.labels or board.matrix.classes:
            if (value := measure(counts, label)) is not None:
                values.append(value)
                if label in shown:
                    of_class.add_metric((*predictor, _text(label)), value)
        if values:
            macro.add_metric(predictor, sum(values) / len(values))
        yield from (of_class, macro)


def _times(predictor: Predictor, board: Counts, now: float) -> Iterator[Metric]:
    delays = HistogramMetricFamily(
        "closedloop_feedback_delay_seconds",
        "From the answer to the truth that counts.",
        labels=LABELS,
    )
    cohorts = _by_predictor(
        "closedloop_cohort_rows",
        "Rows by how many hours ago they were answered, and whether they are judged by now.",
        "age_hours",
        "judged",
    )
    bounds = [*(str(float(bound)) for bound in DELAYS), "+Inf"]
    delays.add_metric(
        list(predictor),
        list(zip(bounds, board.times.delays(), strict=True)),
        board.times.delay_seconds,
    )
    for age, judged, waiting in board.times.cohorts(now, COHORT_HOURS):
        cohorts.add_metric((*predictor, str(age), "true"), judged)
        cohorts.add_metric((*predictor, str(age), "false"), waiting)
    yield from (delays, cohorts)


def _most_frequent(board: Counts) -> frozenset[str]:
    """The classes that have series of their own: the most frequent, of equals the first by name."""
    classes = board.labels.labels or board.matrix.classes
    if len(classes) <= MOST_CLASSES:
        return frozenset(classes)
    counts = board.labels.counts if board.labels.rows else board.matrix.one_vs_rest

    def rank(label: str) -> tuple[int, str]:
        tp, fp, fn, _ = counts(label)
        return -(tp + fp + fn), label

    return frozenset(sorted(classes, key=rank)[:MOST_CLASSES])


def _bounded(board: Counts, shown: frozenset[str]) -> dict[tuple[str, str], int]:
    """The confusion matrix with all classes that are not shown as one."""
    cells: dict[tuple[str, str], int] = {}
    for pair, count in board.matrix.counts().items():
        predicted, actual = (_text(label) if label in shown else _OTHER for label in pair)
        cells[predicted, actual] = cells.get((predicted, actual), 0) + count
    return cells


def _by_predictor(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(*LABELS, *labels))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _root(value: float | None) -> float | None:
    return None if value is None else value**0.5


def _text(label: str) -> str:
    # A log of another writer may hold text that UTF-8 cannot.
    return label.encode(errors="replace").decode()
