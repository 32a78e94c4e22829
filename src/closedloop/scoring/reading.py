"""What one row of an answer or of a truth states, by the declaration of its predictor.

Nothing is guessed: a row whose meaning is not certain states nothing, for a reason that says
what to declare.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Literal, TypeGuard, cast

from closedloop.output import LONGEST_CLASS, Output, number_like

# Shares that were rounded, each to two digits or more, need not add up to 1.
_SUM_TOLERANCE = 0.01


class Reason(StrEnum):
    """Why a row cannot be scored; a metric's label."""

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
"""What to do about each reason, as the end of a sentence."""

REASONS = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Said:
    """What one row states: nothing, for a `reason`, or what its kind makes of it.

    A class is `label`, under its declared name; without a declaration `index` says which column
    of `names` (or of `width` unnamed ones) it is. `numbers` are the probabilities of the classes
    in order, or a regression's values; `labels` those of a row with several.
    """

    reason: str = ""
    label: str | None = None
    index: int | None = None
    width: int = 0
    names: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    labels: frozenset[str] | None = None


NOTHING = Said()


def read_answer(output: Output | None, value: object, names: Sequence[str] = ()) -> Said:
    """Read row `value` of an answer whose columns have these names."""
    if output is None:
        return _undeclared_answer(value, tuple(names))
    try:
        return _Reader(output, "answer").answer(value, tuple(names))
    except _Unreadable as error:
        return _nothing(error.reason)


def read_truth(output: Output | None, value: object, names: Sequence[str] = ()) -> Said:
    """Read row `value` of a truth whose columns have these names."""
    if output is None:
        return _undeclared_truth(value, tuple(names))
    try:
        return _Reader(output, "truth").truth(value, tuple(names))
    except _Unreadable as error:
        return _nothing(error.reason)


@lru_cache(maxsize=256)  # a model has the same names in every answer
def class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """A message's names, if they can be class names, else none.

    One name is a column's. Names that are empty, too long or not distinct would merge classes:
    their indices tell them apart.
    """
    fit = len(set(names)) == len(names) > 1
    return names if fit and all(0 < len(name) <= LONGEST_CLASS for name in names) else ()


class _Unreadable(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class _Reader:
    """Reads rows of one side, answer or truth, of a declared output."""

    def __init__(self, output: Output, side: Literal["answer", "truth"]) -> None:
        answers = side == "answer"
        self._output = output
        self._answers = answers
        self._unreadable = Reason.ANSWER_UNREADABLE if answers else Reason.TRUTH_UNREADABLE
        self._unknown = Reason.ANSWER_UNKNOWN_CLASS if answers else Reason.TRUTH_UNKNOWN_CLASS
        self._way = output.answer if answers else output.truth

    def answer(self, value: object, names: tuple[str, ...]) -> Said:
        kind = self._output.kind
        cells = _cells(value, names, self._output)
        if kind == "class":
            scores = self._scores(cells)
            index = self._class(_single(cells)) if scores is None else _greatest(scores)
            return self._named(index)
        if kind == "probabilities":
            shares = self._shares(cells)
            return self._named(self._likeliest(shares), shares)
        if kind == "score":
            above = self._number(_single(cells)) >= cast(float, self._output.threshold)
            return self._named(int(above))
        if kind == "regression":
            return Said(numbers=self._numbers(cells))
        return self._several(cells)

    def truth(self, value: object, names: tuple[str, ...]) -> Said:
        kind = self._output.kind
        if kind in ("class", "probabilities", "score"):
            return self._named(self._true_class(value, names))
        cells = _true_cells(value, names, self._output)
        if kind == "regression":
            return Said(numbers=self._numbers(cells))
        return self._several(cells)

    def _named(self, index: int, shares: tuple[float, ...] = ()) -> Said:
        return _one_class(self._output.classes[index], shares)

    def _true_class(self, value: object, names: tuple[str, ...]) -> int:
        classes = self._output.classes
        value = _single(value)
        if isinstance(value, Mapping):
            value = _single(_cells(value, names, self._output))
        if isinstance(value, list) and len(value) == len(classes):
            hot = _hot(value)
            if hot is None:
                raise _Unreadable(self._unreadable)
            same = len(names) == len(classes) and set(names) == set(classes)
            return self._output.by_name[names[hot]] if same else hot
        if isinstance(value, list):
            value = _single(_cells(value, names, self._output))
        return self._class(value)

    def _class(self, value: object) -> int:
        """The index of the class that a name, a code or an index states."""
        output, way = self._output, self._way
        if isinstance(value, str):
            if (index := output.by_name.get(value)) is not None and way in (None, "name"):
                return index
            # Forms and tables have numbers as text.
            if not number_like(value) or way == "name":
                raise _Unreadable(self._unknown)
            value = _as_number(value)
        if not isinstance(value, bool) and not is_number(value):
            raise _Unreadable(self._unreadable)
        number = float(cast(float, value))
        if way == "name":
            text = str(value).lower() if isinstance(value, bool) else _text(number)
            return self._known(output.by_name.get(text))
        if way == "code" or (way is None and output.codes):
            return self._known(output.by_code.get(number))
        if isinstance(value, bool):
            if (index := output.by_name.get("true" if value else "false")) is not None:
                return index
            raise _Unreadable(self._unknown)
        index = int(number) if number == int(number) and 0 <= number < len(output.classes) else None
        if way == "index" or output.names_are_indices:
            return self._known(index)
        raise _Unreadable(Reason.AMBIGUOUS_NUMBER)

    def _known(self, index: int | None) -> int:
        if index is None:
            raise _Unreadable(self._unknown)
        return index

    def _scores(self, cells: object) -> tuple[float, ...] | None:
        """One score for each class, if the row is that."""
        count = len(self._output.classes)
        if count > 1 and isinstance(cells, list) and len(cells) == count:
            return self._numbers(cells)
        return None

    def _shares(self, cells: object) -> tuple[float, ...]:
        numbers = self._numbers(cells)
        count = len(self._output.classes)
        if count == 2 and len(numbers) == 1:
            numbers = (1 - numbers[0], numbers[0])
        if len(numbers) != count or not _are_shares(numbers):
            raise _Unreadable(self._unreadable)
        return numbers

    def _likeliest(self, shares: tuple[float, ...]) -> int:
        threshold = self._output.threshold
        return _greatest(shares) if threshold is None else int(shares[1] >= threshold)

    def _number(self, value: object) -> float:
        if isinstance(value, str) and number_like(value):
            value = _as_number(value)
        if not is_number(value):
            raise _Unreadable(self._unreadable)
        return float(value)

    def _numbers(self, cells: object) -> tuple[float, ...]:
        row = cells if isinstance(cells, list) else [cells]
        numbers = tuple(self._number(cell) for cell in row)
        if not numbers:
            raise _Unreadable(self._unreadable)
        return numbers

    def _several(self, cells: object) -> Said:
        output = self._output
        cells = [cells] if isinstance(cells, str) else cells
        if not isinstance(cells, list):
            raise _Unreadable(self._unreadable)
        stated = self._way is not None
        if stated or all(isinstance(cell, str) for cell in cells):
            return Said(labels=frozenset(output.classes[self._class(cell)] for cell in cells))
        if len(cells) != len(output.classes):
            raise _Unreadable(self._unreadable)
        return Said(
            labels=frozenset(
                name for name, cell in zip(output.classes, cells, strict=True) if self._has(cell)
            )
        )

    def _has(self, cell: object) -> bool:
        number = float(cell) if isinstance(cell, bool) else self._number(cell)
        if number in (0.0, 1.0):
            return number == 1.0
        # A truth has no threshold: it is so or it is not.
        if self._output.threshold is None or not self._answers:
            raise _Unreadable(self._unreadable)
        return number >= self._output.threshold


@lru_cache(maxsize=4096)  # there are few classes and many rows
def _one_class(label: str, shares: tuple[float, ...]) -> Said:
    return Said(label=label, numbers=shares)


@lru_cache(maxsize=64)
def _nothing(reason: str) -> Said:
    return Said(reason=reason)


def _undeclared_answer(value: object, names: tuple[str, ...]) -> Said:
    value = _single(value)
    if isinstance(value, str) and 0 < len(value) <= LONGEST_CLASS:
        return Said(label=value)
    if isinstance(value, bool):
        return Said(label="true" if value else "false", width=2)
    if is_number(value):
        return _nothing(Reason.UNDECLARED_NUMBER)
    if isinstance(value, list) and len(value) > 1 and all(is_number(cell) for cell in value):
        numbers = tuple(float(cell) for cell in value)
        if _are_shares(numbers):
            named = class_names(names)
            named = named if len(named) == len(value) else ()
            return Said(index=_greatest(numbers), width=len(value), names=named)
    return _nothing(Reason.UNDECLARED_ANSWER)


def _undeclared_truth(value: object, names: tuple[str, ...]) -> Said:
    value = _single(value)
    if isinstance(value, str) and 0 < len(value) <= LONGEST_CLASS:
        return Said(label=value)
    if isinstance(value, bool):
        return Said(label="true" if value else "false", width=2)
    if is_number(value) and value == int(value) >= 0:
        return Said(index=int(value))
    if isinstance(value, list) and (hot := _hot(value)) is not None:
        named = class_names(names)
        named = named if len(named) == len(value) else ()
        return Said(index=hot, width=len(value), names=named)
    return _nothing(Reason.UNDECLARED_TRUTH)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of JSON is a finite number that fits a double."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer past the range of a double
        return False


def _single(value: object) -> object:
    """The one value of a list of one, of one, ….

    A class comes as `2`, `[2]`, or `[[2]]`, as numpy's shapes have it.
    """
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _cells(value: object, names: tuple[str, ...], output: Output) -> object:
    """The declared columns of a row: one value, or a list of several."""
    if not output.column:
        return _whole(value, output)
    picked = []
    for column in output.column:
        if isinstance(value, Mapping):
            if column not in value:
                raise _Unreadable(Reason.NO_COLUMN)
            picked.append(value[column])
            continue
        row = value if isinstance(value, list) else [value]
        place = column if isinstance(column, int) else _place(names, column)
        if place >= len(row):
            raise _Unreadable(Reason.NO_COLUMN)
        picked.append(row[place])
    return picked[0] if len(picked) == 1 else picked


def _whole(value: object, output: Output) -> object:
    if output.kind == "multilabel":  # a list of one label, or of none, is a list
        while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
            value = value[0]
        return value
    return _single(value)


def _true_cells(value: object, names: tuple[str, ...], output: Output) -> object:
    """The cells of a truth, which may have the declared columns alone, or all of the answer's."""
    whole = _whole(value, output)
    wanted = len(output.column)
    width = len(whole) if isinstance(whole, list) else 1
    if not wanted or (width == wanted and not isinstance(whole, Mapping)):
        return whole
    if output.kind == "multilabel" and wanted == 1 and isinstance(whole, list):
        return whole
    return _cells(whole, names, output)


def _place(names: tuple[str, ...], column: str) -> int:
    if names.count(column) != 1:
        raise _Unreadable(Reason.NO_COLUMN)
    return names.index(column)


def _hot(row: list[object]) -> int | None:
    """The index of the one 1 among zeros."""
    ones = [i for i, cell in enumerate(row) if isinstance(cell, (bool, int, float)) and cell == 1]
    zeros = sum(isinstance(cell, (bool, int, float)) and cell == 0 for cell in row)
    return ones[0] if len(row) > 1 and len(ones) == 1 and zeros == len(row) - 1 else None


def _are_shares(numbers: Sequence[float]) -> bool:
    return all(0 <= number <= 1 for number in numbers) and (
        abs(math.fsum(numbers) - 1) <= _SUM_TOLERANCE
    )


def _greatest(scores: Sequence[float]) -> int:
    """The first of the greatest, as with `numpy.argmax`."""
    return max(range(len(scores)), key=scores.__getitem__)


def _as_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Unreadable(Reason.TRUTH_UNREADABLE)
    return number


def _text(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
