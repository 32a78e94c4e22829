"""The certain statements of a row where its predictor's output is not declared.

A name is a class, and so is the greatest of probabilities. Everything else may mean several
things: a lone number is a class, a score or a measure.
"""

import re
import unicodedata
from functools import lru_cache

from closedloop.loop.output import LONGEST_CLASS, number_like
from closedloop.loop.scoring.said import (
    Reason,
    Said,
    class_names,
    greatest,
    hot,
    is_number,
    name_columns,
    nothing,
    shares,
    single,
)

# A whole number in a text is a class's code: models write measures as numbers.
_CODE = re.compile(r"[+-]?\d+", re.ASCII)
_SEPARATORS = str.maketrans("", "", " _-")
# Words with which people say that they do not know the class.
_NO_WORD = frozenset({
    "", "?", "n/a", "na", "nan", "nil", "none", "null", "tbd", "undefined", "unknown",
    "unlabeled", "unlabelled", "unsure",
})  # fmt: skip


def answer(value: object, names: tuple[str, ...]) -> Said:
    """The statement of a row of an answer."""
    value = single(value)
    if isinstance(value, str):
        if _numeric(value) and not _CODE.fullmatch(value):
            return nothing(Reason.UNDECLARED_NUMBER)
        return _word(value) or nothing(Reason.UNDECLARED_ANSWER)
    if isinstance(value, bool):
        return _boolean(value)
    if is_number(value):
        return nothing(Reason.UNDECLARED_NUMBER)
    if isinstance(value, list) and len(value) > 1 and all(map(is_number, value)):
        numbers = shares(value)
        if numbers is not None and not (len(names) == len(value) and name_columns(names)):
            return _column_of(greatest(numbers), len(value), _named(names, len(value)))
    return nothing(Reason.UNDECLARED_ANSWER)


def truth(value: object, names: tuple[str, ...]) -> Said:
    """The statement of a row of a truth."""
    value = single(value)
    if isinstance(value, str):
        return _word(value) or nothing(Reason.UNDECLARED_TRUTH)
    if isinstance(value, bool):
        return _boolean(value)
    if is_number(value) and value == int(value) >= 0:
        return _column_of(int(value))
    if isinstance(value, list) and (index := hot(value)) is not None:
        return _column_of(index, len(value), _named(names, len(value)))
    return nothing(Reason.UNDECLARED_TRUTH)


@lru_cache(maxsize=4096)  # there are few classes and many rows
def compared(predicted: Said, actual: Said) -> tuple[str, str] | None:
    """The classes that an answer and a truth state, where both are certain to be of one kind."""
    if predicted.label is not None:
        if actual.label is None or not _same_words(predicted, actual):
            return None
        return predicted.label, actual.label
    index = _column(predicted, actual)
    if index is None or predicted.index is None:
        return None
    names = predicted.names or tuple(str(i) for i in range(predicted.width))
    return names[predicted.index], names[index]


def _same_words(predicted: Said, actual: Said) -> bool:
    """Whether two words that differ are certainly two classes of one vocabulary."""
    one, other = predicted.label or "", actual.label or ""
    if predicted.width != actual.width:  # one is a boolean, one a text
        return False
    if one == other:
        return True
    if _numeric(one) or _numeric(other):
        # `1` and `01`, or `2` and `virginica`, may be the same class.
        codes = _CODE.fullmatch(one) and _CODE.fullmatch(other)
        return codes is not None and int(one) != int(other)
    plain, true = _plain(one), _plain(other)
    return plain != true and true not in _NO_WORD


def _column(predicted: Said, actual: Said) -> int | None:
    """The column of the answer that the truth names, where that is certain."""
    names = predicted.names
    if actual.label is not None:
        if actual.width or actual.label not in names:
            return None
        index = names.index(actual.label)
        # Forms have numbers as text: `2` may be the name or the index.
        place = float(actual.label) if number_like(actual.label) else index
        return index if place == index or not 0 <= place < len(names) else None
    index = -1 if actual.index is None else actual.index
    if actual.width:  # one-hot
        if actual.width != predicted.width:
            return None
        if actual.names and names != actual.names:
            said = actual.names[index]
            return names.index(said) if set(names) == set(actual.names) else None
        return index
    if not 0 <= index < predicted.width:
        return None
    if any(number_like(name) for name in names) and names[index] != str(index):
        return None
    return index


@lru_cache(maxsize=4096)
def _column_of(index: int, width: int = 0, names: tuple[str, ...] = ()) -> Said:
    return Said(index=index, width=width, names=names)


def _word(text: str) -> Said | None:
    return Said(label=text) if text.strip() and len(text) <= LONGEST_CLASS else None


def _boolean(value: bool) -> Said:
    return Said(label="true" if value else "false", width=2)


def _named(names: tuple[str, ...], width: int) -> tuple[str, ...]:
    named = class_names(names)
    return named if len(named) == width else ()


def _numeric(text: str) -> bool:
    """Whether a text is a number in any notation."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _plain(text: str) -> str:
    """A name without the differences between two ways to write it."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_SEPARATORS)
