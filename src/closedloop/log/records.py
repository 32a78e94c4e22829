"""Files of historical predictions and truths: one line of CSV or NDJSON is one row.

Columns of a CSV file, keys of an object in an NDJSON file:

| name            | needed | what                                                             |
|-----------------|--------|------------------------------------------------------------------|
| `request_id`    | yes    | the Seldon-Puid; truth sent later with the same id joins         |
| `time`          | yes    | when it was predicted, RFC 3339                                  |
| `prediction`    | yes    | the answer: a number, a name, or a JSON list with a row of it    |
| `truth`         |        | the same of what was true                                        |
| `reward`        |        | a number, where no truth is known                                |
| `feedback_time` |        | when truth or reward became known; the row's `time` if absent    |
| `class_names`   |        | a JSON list with the name of each score in `prediction`          |
| `tags`          |        | a JSON object to keep with the feedback, such as `{"user": "x"}` |
| `features`      |        | NDJSON: a list of values, or an object of names and values       |

Any other column of a CSV file is a feature, named by its heading; in NDJSON any
other key is refused. In CSV, what is a number in JSON is a number, what begins
with a bracket or brace is JSON, and all else is text to the letter: `01234`,
`1_0`, `nan`, `+1` and `true` are names. A line without features has no request
in the log. What prediction, truth and reward mean is what the predictor's
declaration says (`closedloop.loop.output`).
"""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import NAMESPACE_URL, uuid5

from closedloop.loop import events
from closedloop.loop.events import Event, InvalidEvent
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import read_event

NEEDED = ("request_id", "time", "prediction")
OPTIONAL = ("truth", "reward", "feedback_time", "class_names", "tags", "features")

# Event ids are made from the content of the event: the same line gives the same events.
_NAMESPACE = uuid5(NAMESPACE_URL, "https://closedloop.dev/backfill")
_SOURCE = "closedloop/backfill"

# RFC 8259, section 6: Python's int and float read more than that as numbers.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Row:
    """A line that can be loaded, as the events that the model would have caused."""

    line: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be loaded, counted from 1 with the heading, and why."""

    line: int
    reason: str


class _BadLineError(ValueError):
    """The message is the reason."""


def read(path: Path, predictor: Predictor) -> Iterator[Row | Refused]:
    """Every line of a `.csv`, `.ndjson` or `.jsonl` file, as rows of `predictor`.

    Raises ValueError for another kind of file or one whose heading lacks a
    needed column.
    """
    if path.suffix not in _READERS:
        raise ValueError(f"{path} is {path.suffix or 'no'} file: give .csv, .ndjson or .jsonl")
    # An odd byte spoils its own line and no other.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for line, values in _READERS[path.suffix](file, path):
            try:
                if isinstance(values, _BadLineError):
                    raise values
                yield Row(line, tuple(_events(values, predictor)))
            except (_BadLineError, InvalidEvent) as error:
                yield Refused(line, str(error))


_Values = Mapping[str, object]
_Lines = Iterator[tuple[int, _Values | _BadLineError]]


def _read_csv(file: Iterator[str], path: Path) -> _Lines:
    reader = csv.reader(file, strict=True)
    heading = next(reader, [])
    missing = [name for name in NEEDED if name not in heading]
    if missing:
        raise ValueError(
            f"the heading of {path} lacks {', '.join(missing)}: it must have {', '.join(NEEDED)}"
        )
    if twice := [name for name in heading if heading.count(name) > 1]:
        raise ValueError(f"the heading of {path} has {twice[0]!r} twice: name each column once")
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _BadLineError(f"not CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(heading):
            reason = f"the line has {len(cells)} cells where the heading has {len(heading)}"
            if reader.line_num > line:
                reason += f", and goes on to line {reader.line_num}: is a quote missing?"
            yield line, _BadLineError(reason)
            continue
        yield line, _from_cells(dict(zip(heading, cells, strict=True)))


def _read_ndjson(file: Iterator[str], _: Path) -> _Lines:
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            values = _json(text)
        except (ValueError, RecursionError) as error:
            yield line, _BadLineError(f"not JSON: {error}")
            continue
        if not isinstance(values, dict):
            yield line, _BadLineError("the line is no JSON object")
            continue
        unknown = sorted(values.keys() - {*NEEDED, *OPTIONAL})
        if unknown:
            yield (
                line,
                _BadLineError(f"the key {unknown[0]!r} is unknown: put features in features"),
            )
            continue
        yield line, {name: value for name, value in values.items() if value is not None}


_READERS = {".csv": _read_csv, ".ndjson": _read_ndjson, ".jsonl": _read_ndjson}


def _from_cells(cells: Mapping[str, str]) -> _Values | _BadLineError:
    """Values as JSON would have them; an empty cell is an absent one."""
    named = {name: cells[name] for name in (*NEEDED, *OPTIONAL) if cells.get(name, "") != ""}
    values: dict[str, object] = dict(named)
    try:
        for name in ("prediction", "truth", "class_names", "tags"):
            if name in named:
                values[name] = _cell(name, named[name])
        if "reward" in named:
            values["reward"] = _cell("reward", named["reward"])
        rest = {name: text for name, text in cells.items() if name not in values}
        features = {
            name: _cell(name, text)
            for name, text in rest.items()
            if name not in (*NEEDED, *OPTIONAL)
        }
    except _BadLineError as error:
        return error
    if features and "features" in cells:
        return _BadLineError("features is a key of NDJSON: in CSV every feature has a column")
    if features:
        values["features"] = features
    return values


def _cell(name: str, text: str) -> object:
    """A list, an object or a number of JSON, else the text itself."""
    if text[:1] not in ("[", "{") and not _NUMBER.fullmatch(text):
        return text
    try:
        value = _json(text)
    except (ValueError, RecursionError) as error:
        raise _BadLineError(f"{name} is {text[:80]!r}, not JSON: {error}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise _BadLineError(f"{name} is {text[:80]!r}: give a number that is not so large")
    return value


def _json(text: str) -> object:
    """JSON in which no key comes twice. Raises ValueError and RecursionError."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} comes twice")
    return found


def _events(values: _Values, predictor: Predictor) -> Iterator[Event]:
    """The request, the answer and the feedback that a line stands for.

    Raises _BadLineError or InvalidEvent, and then nothing of the line is used.
    """
    for name in NEEDED:
        if name not in values:
            raise _BadLineError(f"{name} is missing")
    request_id, time = _text(values, "request_id"), _text(values, "time")
    class_names = _names(values)
    if features := _features(values):
        yield _event(events.REQUEST, request_id, time, predictor, features)
    answer = {"data": {"names": class_names, "ndarray": [values["prediction"]]}}
    yield _event(events.RESPONSE, request_id, time, predictor, answer)
    judged = _text(values, "feedback_time") if "feedback_time" in values else time
    feedback: dict[str, object] = {}
    if "tags" in values:
        feedback["truth"] = {"meta": {"tags": _object(values, "tags")}}
    if "truth" in values:
        truth = {"data": {"names": class_names, "ndarray": [values["truth"]]}}
        feedback["truth"] = {**cast(_Values, feedback.get("truth", {})), **truth}
    if "reward" in values:
        feedback["reward"] = values["reward"]
    if "truth" in values or "reward" in values:
        yield _event(events.FEEDBACK, request_id, judged, predictor, feedback)
    elif "feedback_time" in values or "tags" in values:
        raise _BadLineError("feedback_time or tags are given without truth or reward")


def _event(kind: str, request_id: str, time: str, predictor: Predictor, message: _Values) -> Event:
    try:
        body = json.dumps(message, allow_nan=False).encode()
        json.dumps([request_id, message], ensure_ascii=False).encode()
    except ValueError as error:  # a number that is none in JSON, text that is not UTF-8
        raise _BadLineError(f"a value cannot be sent as JSON: {error}") from None
    time = events.timestamp(time)  # one moment, however it is written
    identity = json.dumps([kind, request_id, time, *predictor, body.decode()])
    event = Event(
        id=str(uuid5(_NAMESPACE, identity)),
        source=_SOURCE,
        type=kind,
        time=time,
        request_id=request_id,
        namespace=predictor.namespace,
        deployment=predictor.deployment,
        predictor=predictor.predictor,
        model="",
        content_type="application/json",
        body=body,
    )
    # The same checks as for an event that arrives, before anything is sent.
    return read_event(event.headers(), event.body).event


def _features(values: _Values) -> _Values | None:
    features = values.get("features")
    if features is None:
        return None
    if isinstance(features, Mapping):
        return {"data": {"names": list(features), "ndarray": [list(features.values())]}}
    if isinstance(features, list) and features:
        return {"data": {"names": [], "ndarray": [features]}}
    raise _BadLineError(f"features is {features!r}: give a list of values or an object")


def _names(values: _Values) -> list[str]:
    names = values.get("class_names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _BadLineError(f"class_names is {names!r}: give a list of strings")
    return names


def _object(values: _Values, name: str) -> _Values:
    value = values[name]
    if not isinstance(value, Mapping):
        raise _BadLineError(f"{name} is {value!r}: give a JSON object")
    return value


def _text(values: _Values, name: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not value:
        raise _BadLineError(f"{name} is {value!r}: give text")
    return value
