"""The statement of a row by the declaration of its predictor's output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from closedloop.loop.output import Number, Output, Way, number_like
from closedloop.loop.scoring.said import (
    Reason,
    Said,
    class_names,
    greatest,
    hot,
    is_number,
    name_columns,
    shares,
    single,
)

_LONGEST_NUMBER = 400  # characters; no double needs more


class Unreadable(Exception):
    """A row that is not as it was declared."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Side:
    """The difference between reading an answer and reading a truth."""

    answers: bool
    unreadable: Reason
    unknown: Reason

    def way(self, output: Output) -> Way | None:
        return output.answer if self.answers else output.truth


_ANSWER = _Side(True, Reason.ANSWER_UNREADABLE, Reason.ANSWER_UNKNOWN_CLASS)
_TRUTH = _Side(False, Reason.TRUTH_UNREADABLE, Reason.TRUTH_UNKNOWN_CLASS)


def answer(output: Output, value: object, names: tuple[str, ...]) -> Said:
    """The statement of a row of an answer. Raises `Unreadable`."""
    cells, names = _cells(_ANSWER, output, value, names)
    if output.kind == "class":
        if _one_each(output, cells):
            scores = _numbers(_ANSWER, _in_order(_ANSWER, output, cells, names))
            return _one_class(output.classes[greatest(scores)])
        return _one_class(output.classes[_class(_ANSWER, output, single(cells))])
    if output.kind == "probabilities":
        return _likeliest(output, _in_order(_ANSWER, output, cells, names))
    if output.kind == "score":
        above = _number(_ANSWER, single(cells)) >= cast(float, output.threshold)
        return _one_class(output.classes[above])
    if output.kind == "regression":
        return _measured(_ANSWER, cells, names)
    return _several(_ANSWER, output, cells, names)


def truth(output: Output, value: object, names: tuple[str, ...]) -> Said:
    """The statement of a row of a truth. Raises `Unreadable`."""
    if output.kind in ("class", "probabilities", "score"):
        return _one_class(output.classes[_true_class(output, value, names)])
    cells, names = _true_cells(output, value, names)
    if output.kind == "regression":
        return _measured(_TRUTH, cells, names)
    return _several(_TRUTH, output, cells, names)


@lru_cache(maxsize=4096)  # there are few classes and many rows
def _one_class(label: str, numbers: tuple[float, ...] = ()) -> Said:
    return Said(label=label, numbers=numbers)


def _likeliest(output: Output, cells: object) -> Said:
    numbers = _numbers(_ANSWER, cells)
    if len(output.classes) == 2 and len(numbers) == 1:
        numbers = (1 - numbers[0], numbers[0])
    likely = shares(numbers) if len(numbers) == len(output.classes) else None
    if likely is None:
        raise Unreadable(Reason.ANSWER_UNREADABLE)
    index = greatest(likely) if output.threshold is None else likely[1] >= output.threshold
    return _one_class(output.classes[index], likely)


def _true_class(output: Output, value: object, names: tuple[str, ...]) -> int:
    plain = single(value)
    if not isinstance(plain, (list, Mapping)):
        return _class(_TRUTH, output, plain)
    if not _one_each(output, plain) or _has_columns(output, names):
        cells, names = _cells(_TRUTH, output, plain, names)
        plain = single(cells)
    if not _one_each(output, plain):
        return _class(_TRUTH, output, plain)
    index = hot(cast(list[object], _in_order(_TRUTH, output, plain, names)))
    if index is None:
        raise Unreadable(Reason.TRUTH_UNREADABLE)
    return index


def _true_cells(
    output: Output, value: object, names: tuple[str, ...]
) -> tuple[object, tuple[str, ...]]:
    """The cells of a truth, which may have the declared columns alone, or all of the answer's."""
    bare = _bare(value)
    wanted = len(output.column)
    if wanted and not isinstance(bare, Mapping) and not _has_columns(output, names):
        width = len(bare) if isinstance(bare, list) else 1
        # One column of several labels holds a list of them.
        if width == wanted or (output.kind == "multilabel" and wanted == 1):
            return bare, ()
    return _cells(_TRUTH, output, bare, names)


def _cells(
    side: _Side, output: Output, value: object, names: tuple[str, ...]
) -> tuple[object, tuple[str, ...]]:
    """The declared columns of a row, or all of it, and the names of these columns."""
    value = _bare(value)
    if output.column:
        picked = [_pick(value, names, column) for column in output.column]
        return picked[0] if len(picked) == 1 else picked, ()
    if isinstance(value, Mapping):
        names, value = tuple(value), list(value.values())
        if len(names) > 1 and output.kind != "regression" and set(names) != set(output.classes):
            raise Unreadable(side.unreadable)
    return value, names


def _bare(value: object) -> object:
    """A row without the lists of one around it, as numpy's shapes have it."""
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], (list, Mapping)):
        value = value[0]
    return value


def _pick(value: object, names: tuple[str, ...], column: str | int) -> object:
    if isinstance(value, Mapping):
        if column in value:
            return value[column]
    else:
        row = value if isinstance(value, list) else [value]
        place = column
        if isinstance(column, str):
            place = names.index(column) if names.count(column) == 1 else len(row)
        if cast(int, place) < len(row):
            return row[cast(int, place)]
    raise Unreadable(Reason.NO_COLUMN)


def _has_columns(output: Output, names: tuple[str, ...]) -> bool:
    """Whether a message names all of the declared columns."""
    return bool(output.column) and all(names.count(str(name)) == 1 for name in output.column)


def _one_each(output: Output, cells: object) -> bool:
    """Whether there is one cell for each of several classes."""
    return isinstance(cells, list) and len(cells) == len(output.classes) > 1


def _in_order(side: _Side, output: Output, cells: object, names: tuple[str, ...]) -> object:
    """The cells, one for each class, in the order of the classes."""
    if not isinstance(cells, list) or not names or len(cells) != len(names):
        return cells
    places = _places(output.classes, names)
    if places is None:
        raise Unreadable(side.unreadable)
    return [cells[place] for place in places] if places else cells


@lru_cache(maxsize=256)
def _places(classes: tuple[str, ...], names: tuple[str, ...]) -> tuple[int, ...] | None:
    """The place in `names` of each class; empty if they are in order, None if they are others."""
    if names == classes:
        return ()
    if set(names) == set(classes):
        return tuple(names.index(name) for name in classes)
    # Names of columns, such as `t:0`, or the classes' names in other words: the order tells.
    return None if set(names) & set(classes) or name_columns(names) else ()


def _class(side: _Side, output: Output, value: object) -> int:
    """The index of the class that a name, a code or an index states."""
    way = side.way(output)
    if isinstance(value, str):
        index = output.by_name.get(value)
        if index is not None and way in (None, "name"):
            return index
        # Forms and tables have numbers as text.
        if not number_like(value) or way == "name":
            raise Unreadable(side.unknown)
        value = _as_number(side, value)
    if isinstance(value, bool):
        index = None
        if way in (None, "name"):
            index = output.by_name.get("true" if value else "false")
        if index is None and way in (None, "code"):
            index = output.by_code.get(value)
        return _known(side, index)
    if not is_number(value):
        raise Unreadable(side.unreadable)
    if way == "name":
        return _known(side, output.by_name.get(_text(value)))
    if way == "code" or (way is None and output.codes):
        return _known(side, output.by_code.get(value))
    if way is None and not output.names_are_indices:
        raise Unreadable(Reason.AMBIGUOUS_NUMBER)
    fits = value == int(value) and 0 <= value < len(output.classes)
    return _known(side, int(value) if fits else None)


def _known(side: _Side, index: int | None) -> int:
    if index is None:
        raise Unreadable(side.unknown)
    return index


def _measured(side: _Side, cells: object, names: tuple[str, ...]) -> Said:
    numbers = _numbers(side, cells)
    named = class_names(names) if len(names) == len(numbers) else ()
    return Said(numbers=numbers, names=named)


def _several(side: _Side, output: Output, cells: object, names: tuple[str, ...]) -> Said:
    row = cells if isinstance(cells, list) else [cells]
    if side.way(output) is not None:
        return _labels(output.classes[_class(side, output, cell)] for cell in row)
    words = [cell for cell in row if isinstance(cell, str)]
    if len(words) == len(row):
        indices = [output.by_name.get(word) for word in words]
        if None in indices and any(map(number_like, words)):
            raise Unreadable(Reason.AMBIGUOUS_NUMBER)
        return _labels(output.classes[_known(side, index)] for index in indices)
    if len(row) != len(output.classes):
        raise Unreadable(side.unreadable)
    ordered = cast(list[object], _in_order(side, output, row, names))
    held = [_has(side, output, cell) for cell in ordered]
    return _labels(name for name, has in zip(output.classes, held, strict=True) if has)


def _labels(labels: Iterable[str]) -> Said:
    return Said(labels=frozenset(labels))


def _has(side: _Side, output: Output, cell: object) -> bool:
    number = cell if isinstance(cell, bool) else _number(side, cell)
    if side.answers and output.threshold is not None:
        return number >= output.threshold
    # A truth has no threshold: it is so or it is not.
    if number not in (0, 1):
        raise Unreadable(side.unreadable)
    return number == 1


def _numbers(side: _Side, cells: object) -> tuple[float, ...]:
    row = cells if isinstance(cells, list) else [cells]
    if not row:
        raise Unreadable(side.unreadable)
    return tuple(_number(side, single(cell)) for cell in row)


def _number(side: _Side, value: object) -> float:
    if isinstance(value, str) and number_like(value):
        value = _as_number(side, value)
    if not is_number(value):
        raise Unreadable(side.unreadable)
    return float(value)


def _as_number(side: _Side, text: str) -> int | float:
    if len(text) > _LONGEST_NUMBER:
        raise Unreadable(side.unreadable)
    try:
        return int(text)  # exactly, where a double would round it
    except ValueError:
        return float(text)


def _text(number: Number) -> str:
    return str(int(number)) if number == int(number) else str(number)
