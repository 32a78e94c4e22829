"""The content of a Seldon message: its rows and their names, and feedback about them.

Source of the shapes: `proto/prediction.proto` of Seldon Core v1 in its JSON form (`SeldonMessage`,
`Feedback`), the Open Inference Protocol (`inputs`, `outputs`), and TensorFlow Serving's REST API
(`instances`, `predictions`). The meaning of a row is decided in `closedloop.loop.scoring`.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from closedloop.loop.events import InvalidEvent
from closedloop.loop.tftensor import read_tensor

# A row becomes a document with all names in it: a small body must not become gigabytes.
_MOST_ROWS = 50_000
_MOST_CELLS = 1_000_000
_DATA_FIELDS = ("data", "strData", "binData", "jsonData")  # one of them, as the proto says
_WHOLE_FIELDS = frozenset(_DATA_FIELDS[1:])
_OTHER_FIELDS = ("outputs", "predictions", "inputs", "instances")
_FIELDS = (*_DATA_FIELDS, *_OTHER_FIELDS)
# A Seldon-Puid that an executor made: version 4 of RFC 9562, as Go writes it.
_MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Rows(NamedTuple):
    """The rows of a message: `rows[i]` is item i of the batch.

    `names` are its column names, which for an answer with scores are its class
    names. `kind` is `tabular`, `number`, `text`, `image` or `json`.
    """

    rows: list[object]
    names: tuple[str, ...]
    kind: str


class Feedback(NamedTuple):
    """Feedback as sent: a reward, the truth row by row, or both.

    `truth` is None for feedback that carries a reward only; a None among its
    rows is a row about which this feedback says nothing.
    """

    reward: float | None
    truth: Rows | None


def rows_of(message: Mapping[str, object]) -> Rows:
    """The rows of a message, decoded from JSON.

    Raises `InvalidEvent` (`bad_payload`) when there are none, or in two places.
    """
    if not _WHOLE_FIELDS.isdisjoint(message):
        if len(given := [field for field in _DATA_FIELDS if message.get(field) is not None]) > 1:
            raise InvalidEvent("bad_payload", f"the message has {' and '.join(given)}: send one")
        for field in ("strData", "binData"):
            if isinstance(text := message.get(field), str):
                return Rows([text], (), "text")
        if "jsonData" in message:
            return Rows([message["jsonData"]], (), "json")
    data = message.get("data")
    if isinstance(data, dict):
        rows, names = _rows_of_data(data), data.get("names") or []
    elif data is None and any(message.get(field) is not None for field in _OTHER_FIELDS):
        rows, names = _rows_of_other(message)
    else:
        raise InvalidEvent(
            "bad_payload",
            "the message has no data: send data.ndarray, data.tensor, data.tftensor, strData,"
            " binData, jsonData, outputs or predictions",
        )
    if not isinstance(names, list):
        raise InvalidEvent("bad_payload", f"data.names is {names!r}: send a list of strings")
    if len(rows) > _MOST_ROWS or len(rows) * len(names) > _MOST_CELLS:
        raise InvalidEvent(
            "bad_payload",
            f"data has {len(rows)} rows and {len(names)} names: send at most {_MOST_ROWS} rows,"
            f" and {_MOST_CELLS} cells, in one call",
        )
    return Rows(rows, tuple(map(str, names)), _kind(rows))


def feedback_of(message: Mapping[str, object]) -> Feedback:
    """Feedback, checked for having a truth or a reward.

    A `truth` without data, such as one that only carries tags, is no truth, nor
    is one with nothing but null. Without a truth, an absent reward is 0, which
    proto3's JSON leaves out, where the feedback quotes a request or an answer.

    Raises `InvalidEvent` (`bad_feedback` or `bad_payload`).
    """
    reward = _reward(message.get("reward"))
    said = message.get("truth")
    if said is not None and not isinstance(said, dict):
        raise InvalidEvent("bad_feedback", f"truth is {said!r}: send a SeldonMessage")
    truth = None
    if said and [field for field in _FIELDS if said.get(field) is not None]:
        truth = rows_of(said)
        if not truth.rows:
            raise InvalidEvent("bad_feedback", "truth has no rows: send one for each answer row")
        if truth.rows[0] is None and all(row is None for row in truth.rows):
            truth = None
    if truth is None and reward is None:
        if not (message.get("request") or message.get("response")):
            raise InvalidEvent("bad_feedback", "feedback has neither reward nor truth: send one")
        reward = 0.0
    return Feedback(reward, truth)


def judged_request(request_id: str, message: Mapping[str, object]) -> str:
    """The id of the request that feedback is about.

    It is the feedback's own Seldon-Puid; but where an executor made that one, for want of the
    header, the `puid` in the `meta` of the answer or request that the feedback quotes.
    """
    if _MADE.fullmatch(request_id):
        for side in ("response", "request"):
            quoted = message.get(side)
            meta = quoted.get("meta") if isinstance(quoted, dict) else None
            puid = meta.get("puid") if isinstance(meta, dict) else None
            if isinstance(puid, str) and puid and puid.isprintable() and len(puid.encode()) <= 480:
                return puid
    return request_id


def _reward(said: object) -> float | None:
    if isinstance(said, bool):
        return float(said)
    if said is None:
        return None
    try:
        number = float(said) if isinstance(said, (int, float)) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidEvent("bad_feedback", f"reward is {str(said)[:80]!r}: send a finite number")
    return number


def _rows_of_data(data: Mapping[str, object]) -> list[object]:
    if "ndarray" in data and data["ndarray"] is not None:
        rows = data["ndarray"]
        if isinstance(rows, list):
            return rows
        if isinstance(rows, (str, bool, int, float)):
            return [rows]
    if isinstance(tensor := data.get("tensor"), Mapping):
        return _shaped(tensor.get("shape", []), tensor.get("values", []), "data.tensor")
    if isinstance(tensor := data.get("tftensor"), Mapping):
        try:
            return _shaped(*read_tensor(tensor), "data.tftensor")
        except (ValueError, TypeError) as error:
            raise InvalidEvent("bad_payload", f"data.tftensor cannot be read: {error}") from None
    raise InvalidEvent(
        "bad_payload", "data has no rows: send data.ndarray, data.tensor or data.tftensor"
    )


def _rows_of_other(message: Mapping[str, object]) -> tuple[list[object], list[object]]:
    """Rows and names of an Open Inference Protocol or TensorFlow Serving message."""
    for field in ("predictions", "instances"):
        if isinstance(rows := message.get(field), list):
            return rows, []
    said = message.get("outputs", message.get("inputs"))
    if isinstance(said, Mapping) and said:
        names, columns = list(said), list(said.values())
    elif not isinstance(said, list):
        raise InvalidEvent("bad_payload", "the message has no list of rows: send one")
    elif all(isinstance(tensor, Mapping) and "data" in tensor for tensor in said):
        names = [str(tensor.get("name", "")) for tensor in said]
        columns = [
            _shaped(tensor.get("shape"), _flat(tensor["data"]), f"tensor {tensor.get('name')!r}")
            for tensor in said
        ]
    else:
        return said, []
    if not all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        raise InvalidEvent("bad_payload", "the tensors differ in their rows: send as many in each")
    if len(columns) == 1:
        wide = any(isinstance(row, list) and len(row) != 1 for row in columns[0])
        return columns[0], [] if wide else names
    return [[_lone(cell) for cell in row] for row in zip(*columns, strict=True)], names


def _shaped(shape: object, values: object, name: str) -> list[object]:
    sizes = [_size(size) for size in shape] if isinstance(shape, list) else [-1]
    counts = [math.prod(sizes[: i + 1]) for i in range(len(sizes))]
    if (
        not isinstance(values, list)
        or any(size < 0 for size in sizes)
        or math.prod(sizes) != len(values)
        or max(counts, default=0) > _MOST_CELLS
    ):
        raise InvalidEvent(
            "bad_payload",
            f"{name} has shape {str(shape)[:80]} that does not fit its values: make them agree",
        )
    nested = values
    for size, count in zip(sizes[:0:-1], counts[-2::-1], strict=True):
        nested = [nested[i * size : (i + 1) * size] for i in range(count)]
    return nested


def _size(said: object) -> int:
    if isinstance(said, str) and said.isascii() and said.isdigit():
        return int(said[:20])
    return said if isinstance(said, int) and not isinstance(said, bool) else -1


def _flat(values: object) -> list[object]:
    """A tensor's values in row-major order, which a sender may have nested."""
    if not isinstance(values, list):
        return [values]
    return [each for value in values for each in _flat(value)]


def _lone(cell: object) -> object:
    return cell[0] if isinstance(cell, list) and len(cell) == 1 else cell


def _kind(rows: list[object]) -> str:
    first = rows[0] if rows else None
    if isinstance(first, str):
        return "text"
    if isinstance(first, (int, float)):
        return "number"
    if isinstance(first, list) and first and isinstance(first[0], list):
        return "image"
    return "tabular"
