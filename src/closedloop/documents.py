"""The inference log: which document an event belongs to and what it adds to it.

The shape is that of Seldon's own request logger (Apache-2.0,
`components/seldon-request-logger`, removed from its tree in 2022): one index a
predictor, one document a row, with `request`, `response` and `feedback` side by
side. Added here: `ce-id` beside `ce-time`, so that the newest is known; the
truth's own row as `feedback.instance`; earlier feedback in `feedback_history`;
and `score`, the join of answer and truth, so that an aggregation needs no code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from closedloop import events
from closedloop.events import Event, InvalidEvent
from closedloop.payload import ClassLabel, class_names, class_of, feedback_of, parse_json, rows_of
from closedloop.scoring.scoreboard import Outcome, Row, order, verdict

INDEX_PATTERN = "inference-log-seldon-*"

Document = dict[str, object]

_SECTIONS = {events.REQUEST: "request", events.RESPONSE: "response", events.FEEDBACK: "feedback"}
_FORBIDDEN = re.compile(r'[!@#$"<>/?*\\|,: ]')
# Past this many rows, or bytes in all, repeating the payload in each would grow with their square.
_PAYLOAD_IN_EVERY_ITEM = 100
_PAYLOAD_COPIES = 1 << 20


class Predictor(NamedTuple):
    """Whose event, document or count it is."""

    namespace: str
    deployment: str
    predictor: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one event adds to one document: a whole section of it."""

    document_id: str
    section: str
    common: Document
    content: Document

    @property
    def stamp(self) -> str:
        return _stamp(self.content)


def index_name(namespace: str, deployment: str, predictor: str) -> str:
    """The index of one predictor's log, without the characters that an index name may not have."""
    name = f"inference-log-seldon-{namespace}-{deployment}-{predictor}"
    return _FORBIDDEN.sub("", name).lower()


def document_id(request_id: str, row: int, rows: int) -> str:
    """A single row has the request's own id, row i of a batch that id with `-item-<i>`."""
    return request_id if rows == 1 else f"{request_id}-item-{row}"


def parts_of(event: Event) -> list[Part]:
    """What an event adds to which documents.

    Feedback adds nothing to a row for which its truth is null. A truth of one
    row, and a reward without truth, speak of an answer of one row.

    Raises `InvalidEvent` when the body cannot be read.
    """
    message = parse_json(event.body)
    read = _feedback_contents if event.type == events.FEEDBACK else _message_contents
    contents = read(message, len(event.body))
    return [
        Part(
            document_id=document_id(event.request_id, row, len(contents)),
            section=_SECTIONS[event.type],
            common={
                "ServingEngine": "seldon",
                "Ce-Namespace": event.namespace,
                "Ce-Inferenceservicename": event.deployment,
                "Ce-Endpoint": event.predictor,
                "Ce-Modelid": event.model,
                "RequestId": event.request_id,
                "Row": row,
            },
            content={
                **content,
                "ce-time": event.time,
                "ce-id": event.id,
                "ce-source": event.source,
            },
        )
        for row, content in enumerate(contents)
        if content is not None
    ]


def merge(known: Mapping[str, object] | None, part: Part) -> tuple[Document, Outcome]:
    """The document with `part` in it, and what that did; neither argument is changed.

    Of two versions of a section the newer stays, whichever comes first; the
    older feedback goes to `feedback_history`, oldest first.
    """
    merged: Document = {**part.common, **(known or {})}
    held = merged.get(part.section)
    outcome = order(_stamp(held) if isinstance(held, dict) else "", part.stamp)
    if outcome.changes:
        merged[part.section] = part.content
    if part.section == "feedback" and isinstance(held, dict):
        older = held if outcome is Outcome.CORRECTED else part.content
        if outcome is not Outcome.DUPLICATE:
            history, added = _with(merged.get("feedback_history"), older)
            merged["feedback_history"] = history
            if not added:
                outcome = Outcome.DUPLICATE
    for section in ("request", "response", "feedback"):
        if isinstance(content := merged.get(section), dict):
            merged["@timestamp"] = content["ce-time"]
            break
    if score := _score(merged):
        merged["score"] = score
    return merged, outcome


def row_of(document: Mapping[str, object]) -> Row:
    """What a document says of its row, as the scoreboard holds it.

    Raises `InvalidEvent` for a document that is not of this shape.
    """
    row = Row()
    if isinstance(response := document.get("response"), dict):
        row.answered = _stamp(response)
        row.predicted, row.names = predicted_class(response)
    if isinstance(feedback := document.get("feedback"), dict):
        row.judged = _stamp(feedback)
        row.actual, row.reward = actual_class(feedback)
    return row


def predictor_of(document: Mapping[str, object]) -> Predictor:
    """The predictor whose log a document belongs to. Raises `InvalidEvent` when it does not say."""
    fields = ("Ce-Namespace", "Ce-Inferenceservicename", "Ce-Endpoint")
    for field in fields:
        if not isinstance(document.get(field), str):
            raise InvalidEvent("bad_document", f"the document has no {field}: log it again")
    return Predictor(*(str(document[field]) for field in fields))


def predicted_class(response: Mapping[str, object]) -> tuple[ClassLabel | None, tuple[str, ...]]:
    """The class that a `response` section states, if any, and the class names it may use."""
    return _class_said(response.get("instance"), _names(response))


def actual_class(feedback: Mapping[str, object]) -> tuple[ClassLabel | None, float | None]:
    """The class, or the reward, that a `feedback` section states."""
    reward = feedback.get("reward")
    if "instance" not in feedback:
        return None, reward if isinstance(reward, (int, float)) else None
    truth = feedback.get("truth")
    data = truth.get("data") if isinstance(truth, dict) else None
    names = _names(data) if isinstance(data, dict) else ()
    return class_of(feedback["instance"], names), None


def answers_of(event: Event) -> list[tuple[str, ClassLabel | None, tuple[str, ...]]]:
    """(document id, `predicted_class`) of each part of an answer, without making the parts.

    Raises `InvalidEvent` when the body cannot be read.
    """
    said = rows_of(parse_json(event.body))
    rows = said.rows or [None]
    return [
        (document_id(event.request_id, row, len(rows)), *_class_said(instance, said.names))
        for row, instance in enumerate(rows)
    ]


def judgements_of(event: Event) -> list[tuple[str, ClassLabel | None, float | None]]:
    """(document id, `actual_class`) of each part of feedback, without making the parts.

    Raises `InvalidEvent` when the body cannot be read.
    """
    feedback = feedback_of(parse_json(event.body))
    if feedback.truth is None:
        return [(event.request_id, None, feedback.reward)]
    classes = feedback.classes
    return [
        (document_id(event.request_id, row, len(classes)), label, None)
        for row, label in enumerate(classes)
        if label is not None
    ]


def _class_said(
    instance: object, names: tuple[str, ...]
) -> tuple[ClassLabel | None, tuple[str, ...]]:
    try:
        label = class_of(instance, names)
    except InvalidEvent:
        return None, ()
    return label, class_names(names)


def _message_contents(message: dict[str, object], size: int) -> list[Document | None]:
    said = rows_of(message)
    repeat = _repeat(len(said.rows), size)
    contents: list[Document | None] = []
    for row, instance in enumerate(said.rows or [None]):
        content: Document = {"instance": instance, "dataType": said.kind}
        if row == 0 or repeat:
            content["payload"] = message
        if said.names:
            content["names"] = list(said.names)
            if isinstance(instance, list) and len(instance) == len(said.names):
                content["elements"] = dict(zip(said.names, instance, strict=True))
        if "meta" in message:
            content["meta"] = message["meta"]
        contents.append(content)
    return contents


def _feedback_contents(message: dict[str, object], size: int) -> list[Document | None]:
    feedback = feedback_of(message)
    # A boolean reward would not fit the numeric field that everyone else's goes to.
    body = {name: value for name, value in message.items() if name != "instance"}
    if feedback.reward is not None:
        body["reward"] = feedback.reward
    if feedback.truth is None:
        return [body]
    rows = feedback.truth.rows
    rest = body
    if not _repeat(len(rows), size):
        rest = {name: value for name, value in body.items() if name not in ("request", "response")}
        rest["truth"] = {"data": {"names": list(feedback.truth.names)}}
    return [
        None if row is None else {**(rest if i else body), "instance": row}
        for i, row in enumerate(rows)
    ]


def _repeat(rows: int, size: int) -> bool:
    return rows <= _PAYLOAD_IN_EVERY_ITEM and rows * size <= _PAYLOAD_COPIES


def _score(document: Document) -> Document | None:
    row = row_of(document)
    if not (row.answered or row.judged):
        return None
    seen = verdict(row)
    score: Document = {"state": seen.state}
    if seen.correct is not None:
        score["correct"] = seen.correct
    if seen.pair is not None:
        score["predicted"], score["actual"] = seen.pair
    return score


def _stamp(content: Mapping[str, object]) -> str:
    # A log that another writer began may have no `ce-id`.
    return events.stamp(str(content.get("ce-time", "")), str(content.get("ce-id", "")))


def _names(content: Mapping[str, object]) -> tuple[str, ...]:
    names = content.get("names")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _with(history: object, older: Document) -> tuple[list[Document], bool]:
    versions = list(history) if isinstance(history, list) else []
    if any(_stamp(version) == _stamp(older) for version in versions):
        return versions, False
    return sorted([*versions, older], key=_stamp), True
