"""The statement of one row of an answer or of a truth, and reasons why there is none."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, TypeGuard

from closedloop.loop.output import LONGEST_CLASS

# Shares that were rounded, each to two digits or more, need not add up to 1.
_SUM_TOLERANCE = 0.01
# A softmax in single precision may end this far outside of [0, 1].
_SLACK = 1e-6
# Names of columns beside or instead of one column for each class.
_NO_CLASSES = frozenset({
    "class", "classes", "confidence", "label", "labels", "output", "predicted", "prediction",
    "predictions", "proba", "probabilities", "probability", "result", "score", "scores", "target",
})  # fmt: skip


class Reason(StrEnum):
    """A reason why a row cannot be scored; a metric's label."""

    UNDECLARED_NUMBER = "undeclared_number"
    UNDECLARED_ANSWER = "undeclared_answer"
    UNDECLARED_TRUTH = "undeclared_truth"
    UNDECLARED_REWARD = "undeclared_reward"
    AMBIGUOUS_NUMBER = "ambiguous_number"
    NO_COLUMN = "no_column"
    ANSWER_UNREADABLE = "answer_unreadable"
    ANSWER_UNKNOWN_CLASS = "answer_unknown_class"
    TRUTH_UNREADABLE = "truth_unreadable"
    TRUTH_UNKNOWN_CLASS = "truth_unknown_class"
    TRUTH_SHAPE = "truth_shape"


ADVICE: Mapping[str, str] = {
    Reason.UNDECLARED_NUMBER: "a lone number may be a class, a score or a measure: declare kind",
    Reason.UNDECLARED_ANSWER: "the answer is neither a name nor probabilities: declare kind,"
    " classes and column",
    Reason.UNDECLARED_TRUTH: "nothing tells which class of the answer the truth is: declare"
    " classes, and truth as name, code or index",
    Reason.UNDECLARED_REWARD: "a reward other than 0 and 1 is a measure: declare reward_threshold",
    Reason.AMBIGUOUS_NUMBER: "a number may be a class's name or its index: declare answer and"
    " truth as name, code or index",
    Reason.NO_COLUMN: "the row lacks the declared column: correct column",
    Reason.ANSWER_UNREADABLE: "the answer is not of the declared kind: correct the declaration",
    Reason.ANSWER_UNKNOWN_CLASS: "the answer is none of the declared classes: add it to classes",
    Reason.TRUTH_UNREADABLE: "the truth is not of the declared kind: send it so",
    Reason.TRUTH_UNKNOWN_CLASS: "the truth is none of the declared classes: send one of them",
    Reason.TRUTH_SHAPE: "the truth has not one entry for each row of the answer: send it so",
}
"""The remedy for each reason, as the end of a sentence."""

REASONS = tuple(Reason)


class Said(NamedTuple):
    """The statement of one row: nothing, for a `reason`, or a value of its kind.

    A class is `label`, under its declared name; without a declaration `index` says which column
    of `names` (or of `width` unnamed ones) it is. `numbers` are the probabilities of the classes
    in order, or a regression's values, in columns `names`; `labels` those of a row with several.
    """

    reason: str = ""
    label: str | None = None
    index: int | None = None  # type: ignore[assignment]  # it hides a tuple's method
    width: int = 0
    names: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    labels: frozenset[str] | None = None


@lru_cache(maxsize=64)
def nothing(reason: str) -> Said:
    """The statement of a row that cannot be read."""
    return Said(reason=reason)


@lru_cache(maxsize=256)  # a model has the same names in every answer
def class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """A message's names, if they can be class names, else none.

    One name is a column's. Names that are empty, too long or not distinct would merge classes:
    their indices tell them apart.
    """
    fit = len(set(names)) == len(names) > 1
    return names if fit and all(0 < len(name) <= LONGEST_CLASS for name in names) else ()


@lru_cache(maxsize=256)
def name_columns(names: tuple[str, ...]) -> bool:
    """Whether one of the names is that of a column of another kind than one class's."""
    return any(name.casefold() in _NO_CLASSES for name in names)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of JSON is a finite number that fits a double."""
    if type(value) is float:
        return math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer past the range of a double
        return False


def single(value: object) -> object:
    """The one value of a list of one, of one, ….

    A class comes as `2`, `[2]`, or `[[2]]`, as numpy's shapes have it.
    """
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def hot(row: list[object]) -> int | None:
    """The index of the one 1 among zeros."""
    ones = [i for i, cell in enumerate(row) if isinstance(cell, (bool, int, float)) and cell == 1]
    zeros = sum(isinstance(cell, (bool, int, float)) and cell == 0 for cell in row)
    return ones[0] if len(row) > 1 and len(ones) == 1 and zeros == len(row) - 1 else None


def shares(numbers: Sequence[float]) -> tuple[float, ...] | None:
    """The numbers as probabilities of classes that exclude one another, if they can be."""
    least, most = min(numbers), max(numbers)
    if least < -_SLACK or most > 1 + _SLACK:
        return None
    if abs(math.fsum(numbers) - 1) > _SUM_TOLERANCE + _SLACK:
        return None
    if least >= 0 and most <= 1:
        return tuple(numbers)
    return tuple([min(max(number, 0.0), 1.0) for number in numbers])


def greatest(scores: Sequence[float]) -> int:
    """The index of the first of the greatest, as with `numpy.argmax`."""
    return scores.index(max(scores))
