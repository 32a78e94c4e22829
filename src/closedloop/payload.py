"""What a Seldon message says: its rows, their classes, and feedback about them.

Source of the shapes: `proto/prediction.proto` of Seldon Core v1 in its JSON
form (`SeldonMessage`, `Feedback`).
"""

import json
import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeGuard

from closedloop.events import InvalidEvent

# An index's keyword fields and a metric's labels should not carry more.
_LONGEST_CLASS = 256
# A row becomes a document with all names in it: a small body must not become gigabytes.
_MOST_ROWS = 50_000
_MOST_CELLS = 1_000_000
_DATA_FIELDS = ("data", "strData", "binData", "jsonData")  # one of them, as the proto says


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a message: `rows[i]` is what it says of item i of the batch.

    `names` are its column names, which for an answer with scores are its class
    names. `kind` is `tabular`, `number`, `text`, `image` or `json`.
    """

    rows: list[object]
    names: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """A class as a message gives it: by index, by name, or by both."""

    index: int | None
    name: str | None

    def resolve(self, names: Sequence[str]) -> str:
        """The label under which this class is counted, given the answer's class names.

        A name when one can be had, else the index: so a truth of `2` and an
        answer named `virginica` meet.
        """
        if names:
            if self.name is not None and self.name in names:
                return self.name
            if self.index is not None and 0 <= self.index < len(names):
                return names[self.index]
        elif self.index is not None:
            return str(self.index)
        return self.name if self.name is not None else str(self.index)


def compared(
    predicted: ClassLabel, actual: ClassLabel, names: Sequence[str]
) -> tuple[str, str] | None:
    """The labels under which an answer and its truth are counted, given the answer's class names.

    None where nothing tells whether they are the same class: the answer has no
    names, and one of the two states an index only, the other a name only.
    """
    if not names and (predicted.index is None or actual.index is None):
        if predicted.name is None or actual.name is None:
            return None
        return predicted.name, actual.name
    return predicted.resolve(names), actual.resolve(names)


@dataclass(frozen=True, slots=True)
class Feedback:
    """Feedback as sent: a reward, the truth row by row, or both.

    `truth` is None for feedback that carries a reward only; a None inside it
    is a row about which this feedback says nothing. `classes` are what the
    rows of the truth state, with None where they are.
    """

    reward: float | None
    truth: Rows | None
    classes: list[ClassLabel | None]


def parse_json(body: bytes) -> dict[str, object]:
    """Decode a JSON object, in UTF-8, that can be encoded again.

    Raises `InvalidEvent` (`bad_json`).
    """
    try:
        text = body.decode()
        message = _DECODER.decode(text)
        if "\\u" in text:  # it may be half of a surrogate pair
            json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("bad_json", f"the body is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidEvent(
            "bad_json", f"the body is a JSON {type(message).__name__}: send an object"
        )
    return message


def rows_of(message: dict[str, object]) -> Rows:
    """The rows of a SeldonMessage, decoded from JSON.

    Raises `InvalidEvent` (`bad_payload`) when there are none, or in two places.
    """
    if len(given := [field for field in _DATA_FIELDS if message.get(field) is not None]) > 1:
        raise InvalidEvent("bad_payload", f"the message has {' and '.join(given)}: send one")
    for field in ("strData", "binData"):
        if isinstance(text := message.get(field), str):
            return Rows([text], (), "text")
    if "jsonData" in message:
        return Rows([message["jsonData"]], (), "json")
    data = message.get("data")
    if not isinstance(data, dict):
        raise InvalidEvent(
            "bad_payload",
            "the message has no data: send data.ndarray, data.tensor, strData, binData or jsonData",
        )
    names = data.get("names") or []
    if not isinstance(names, list):
        raise InvalidEvent("bad_payload", f"data.names is {names!r}: send a list of strings")
    rows = _rows_of_data(data)
    if len(rows) > _MOST_ROWS or len(rows) * len(names) > _MOST_CELLS:
        raise InvalidEvent(
            "bad_payload",
            f"data has {len(rows)} rows and {len(names)} names: send at most {_MOST_ROWS} rows,"
            f" and {_MOST_CELLS} cells, in one call",
        )
    return Rows(rows, tuple(str(name) for name in names), _kind(rows))


def class_names(names: Sequence[str]) -> tuple[str, ...]:
    """A message's names, if they can be class names, else none.

    One name is a column's. Names that are empty, too long or not distinct
    would merge classes: their indices tell them apart.
    """
    return _class_names(tuple(names))


def class_of(row: object, names: Sequence[str] = ()) -> ClassLabel:
    """The class that one row states: a class value, one-hot, probabilities or scores.

    `names` are the message's own names, see `class_names`. Of equal scores the
    first wins, as with `numpy.argmax`.

    Raises `InvalidEvent` (`not_a_class`).
    """
    classes = class_names(names)
    if isinstance(row, list) and len(row) == 1:
        row = row[0]
    if isinstance(row, str):
        if not 0 < len(row) <= _LONGEST_CLASS:
            raise _not_a_class(row)
        return ClassLabel(classes.index(row) if row in classes else None, row)
    if _is_number(row):
        if row != int(row) or row < 0:
            raise _not_a_class(row)
        index = int(row)
        return ClassLabel(index, classes[index] if index < len(classes) else None)
    if isinstance(row, list) and row and all(_is_score(value) for value in row):
        if not any(row):
            raise _not_a_class(row)
        index = max(range(len(row)), key=row.__getitem__)
        return ClassLabel(index, classes[index] if len(classes) == len(row) else None)
    raise _not_a_class(row)


def feedback_of(message: dict[str, object]) -> Feedback:
    """Feedback, checked: every truth row is a class or null.

    A `truth` without data, such as one that only carries tags, is no truth, nor
    is one with nothing but null.

    Raises `InvalidEvent` (`bad_feedback`, `bad_payload` or `not_a_class`).
    """
    reward = message.get("reward")
    if isinstance(reward, bool):
        reward = float(reward)
    if reward is not None and not _is_number(reward):
        raise InvalidEvent("bad_feedback", f"reward is {reward!r}: send a finite number")
    said = message.get("truth")
    if said is not None and not isinstance(said, dict):
        raise InvalidEvent("bad_feedback", f"truth is {said!r}: send a SeldonMessage")
    truth = rows_of(said) if said and any(field in said for field in _DATA_FIELDS) else None
    classes: list[ClassLabel | None] = []
    if truth is not None:
        if not truth.rows:
            raise InvalidEvent("bad_feedback", "truth has no rows: send one for each answer row")
        classes = [None if row is None else class_of(row, truth.names) for row in truth.rows]
        if not any(classes):
            truth, classes = None, []
    if truth is None and reward is None:
        raise InvalidEvent("bad_feedback", "feedback has neither reward nor truth: send one")
    return Feedback(None if reward is None else float(reward), truth, classes)


@lru_cache(maxsize=256)  # a model has the same names in every answer
def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    fit = len(set(names)) == len(names) > 1
    return names if fit and all(0 < len(name) <= _LONGEST_CLASS for name in names) else ()


def _rows_of_data(data: dict[str, object]) -> list[object]:
    if isinstance(rows := data.get("ndarray"), list):
        return rows
    tensor = data.get("tensor")
    if isinstance(tensor, dict):
        shape, values = tensor.get("shape"), tensor.get("values", [])
        if (
            isinstance(shape, list)
            and isinstance(values, list)
            and shape
            and all(isinstance(size, int) and size >= 0 for size in shape)
            and math.prod(shape) == len(values)
        ):
            return _nest(values, shape)
        raise InvalidEvent(
            "bad_payload",
            f"data.tensor has shape {shape!r} that does not fit its values: make them agree",
        )
    raise InvalidEvent("bad_payload", "data has no rows: send data.ndarray or data.tensor")


def _nest(values: list[object], shape: list[int]) -> list[object]:
    for size in reversed(shape[1:]):
        values = [values[i : i + size] for i in range(0, len(values), size)] if size else []
    return values


def _kind(rows: list[object]) -> str:
    first = rows[0] if rows else None
    if isinstance(first, str):
        return "text"
    if isinstance(first, (int, float)):
        return "number"
    if isinstance(first, list) and first and isinstance(first[0], list):
        return "image"
    return "tabular"


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer past the range of a double
        return False


def _is_score(value: object) -> TypeGuard[int | float]:
    return isinstance(value, bool) or _is_number(value)


def _not_a_class(row: object) -> InvalidEvent:
    return InvalidEvent(
        "not_a_class",
        f"{reprlib.repr(row)} states no class: send a class index, a class name"
        f" of at most {_LONGEST_CLASS} characters, or a row of scores",
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:50]} is past the range of a double")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
