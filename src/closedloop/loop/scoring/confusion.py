"""The confusion matrix of a classifier and the measures read off it.

Definitions: for a class, one against the rest, with tp, fp, fn, tn counted
over all pairs: precision tp/(tp+fp), recall tp/(tp+fn), specificity
tn/(tn+fp), F1 2tp/(2tp+fp+fn). The macro average is the plain mean over the
classes for which the measure is defined. A measure with a zero denominator is
undefined: None.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class ConfusionMatrix:
    """Counts of (predicted, actual) label pairs.

    The totals are kept beside the cells, so that every measure of one class
    takes constant time, and all measures of all classes linear time.
    """

    def __init__(self, counts: Mapping[tuple[str, str], int] | None = None) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._predicted: Counter[str] = Counter()
        self._actual: Counter[str] = Counter()
        self._total = 0
        self._correct = 0
        self.touched: set[tuple[str, str]] = set()  # cells that changed, for who writes them down
        for (predicted, actual), count in (counts or {}).items():
            self.add(predicted, actual, count)

    def add(self, predicted: str, actual: str, count: int = 1) -> None:
        """Count a pair `count` times; a negative count takes it back."""
        _add(self._counts, (predicted, actual), count)
        _add(self._predicted, predicted, count)
        _add(self._actual, actual, count)
        self.touched.add((predicted, actual))
        self._total += count
        if predicted == actual:
            self._correct += count

    def counts(self) -> dict[tuple[str, str], int]:
        """A copy of the counts, without zeros, by (predicted, actual)."""
        return dict(self._counts)

    def count(self, predicted: str, actual: str) -> int:
        """The count of one pair."""
        return self._counts[predicted, actual]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfusionMatrix) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"ConfusionMatrix({dict(self._counts)!r})"

    @property
    def classes(self) -> list[str]:
        """Every label predicted or actual at least once, sorted."""
        return sorted(self._predicted.keys() | self._actual.keys())

    @property
    def total(self) -> int:
        return self._total

    @property
    def correct(self) -> int:
        return self._correct

    @property
    def accuracy(self) -> float | None:
        return _ratio(self.correct, self.total)

    def one_vs_rest(self, label: str) -> tuple[int, int, int, int]:
        """(tp, fp, fn, tn) of `label` against all other classes."""
        tp = self._counts[label, label]
        predicted, actual = self._predicted[label], self._actual[label]
        return tp, predicted - tp, actual - tp, self.total - predicted - actual + tp

    def precision(self, label: str) -> float | None:
        tp, fp, _, _ = self.one_vs_rest(label)
        return _ratio(tp, tp + fp)

    def recall(self, label: str) -> float | None:
        tp, _, fn, _ = self.one_vs_rest(label)
        return _ratio(tp, tp + fn)

    def specificity(self, label: str) -> float | None:
        _, fp, _, tn = self.one_vs_rest(label)
        return _ratio(tn, tn + fp)

    def f1(self, label: str) -> float | None:
        tp, fp, fn, _ = self.one_vs_rest(label)
        return _ratio(2 * tp, 2 * tp + fp + fn)

    def macro(self, measure: Callable[[str], float | None]) -> float | None:
        """The macro average of one of this matrix's measures, such as `m.macro(m.recall)`."""
        values = [value for label in self.classes if (value := measure(label)) is not None]
        return _ratio(sum(values), len(values))


def _add(counts: Counter[_Key], key: _Key, count: int) -> None:
    counts[key] += count
    if not counts[key]:
        del counts[key]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
