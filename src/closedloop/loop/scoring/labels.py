"""Counts over rows that have several labels at once, and the measures read off them.

Definitions, as scikit-learn's for multilabel data: each label counts tp, fp and fn over all
rows; micro measures add these up over the labels first, macro measures are the plain mean over
the labels for which a measure is defined. A measure with a zero denominator is None.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet


class LabelCounts:
    """tp, fp and fn of every label that was predicted or true at least once."""

    def __init__(self) -> None:
        self._both: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._actual: Counter[str] = Counter()
        self.rows = 0
        self.touched: set[str] = set()  # labels that changed, for who writes them down

    @classmethod
    def counted(
        cls,
        rows: int,
        both: Mapping[str, int],
        predicted: Mapping[str, int],
        actual: Mapping[str, int],
    ) -> "LabelCounts":
        """Counts that were added up elsewhere: rows, and those in which a label was both, predicted
        and true."""
        counts = cls()
        counts.rows = rows
        for ours, theirs in (
            (counts._both, both),
            (counts._predicted, predicted),
            (counts._actual, actual),
        ):
            ours.update({label: count for label, count in theirs.items() if count})
        return counts

    def add(self, predicted: AbstractSet[str], actual: AbstractSet[str], sign: int = 1) -> None:
        """Count a row, or take it back when `sign` is -1."""
        self.rows += sign
        self.touched |= predicted | actual
        for counts, labels in (
            (self._both, predicted & actual),
            (self._predicted, predicted),
            (self._actual, actual),
        ):
            for label in labels:
                counts[label] += sign
                if not counts[label]:
                    del counts[label]

    def parts(self, label: str) -> Iterator[tuple[str, int]]:
        """The counts that are kept of a label, by their kind."""
        yield "both", self._both[label]
        yield "predicted", self._predicted[label]
        yield "actual", self._actual[label]

    def load(self, kind: str, label: str, count: int) -> None:
        """Set one of the counts that `parts` has."""
        {"both": self._both, "predicted": self._predicted, "actual": self._actual}[kind][label] = (
            count
        )

    @property
    def labels(self) -> list[str]:
        return sorted(self._predicted.keys() | self._actual.keys())

    def counts(self, label: str) -> tuple[int, int, int, int]:
        """(tp, fp, fn, tn) of one label."""
        tp = self._both[label]
        fp, fn = self._predicted[label] - tp, self._actual[label] - tp
        return tp, fp, fn, self.rows - tp - fp - fn

    def precision(self, label: str) -> float | None:
        return _ratio(self._both[label], self._predicted[label])

    def recall(self, label: str) -> float | None:
        return _ratio(self._both[label], self._actual[label])

    def specificity(self, label: str) -> float | None:
        _, fp, _, tn = self.counts(label)
        return _ratio(tn, tn + fp)

    def f1(self, label: str) -> float | None:
        return _ratio(2 * self._both[label], self._predicted[label] + self._actual[label])

    @property
    def micro_precision(self) -> float | None:
        return _ratio(self._both.total(), self._predicted.total())

    @property
    def micro_recall(self) -> float | None:
        return _ratio(self._both.total(), self._actual.total())

    @property
    def micro_f1(self) -> float | None:
        return _ratio(2 * self._both.total(), self._predicted.total() + self._actual.total())


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
