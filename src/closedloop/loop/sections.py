"""The sections of documents: which documents an event adds to, and which section of each.

A request, an answer and feedback are sections side by side. Feedback with as many entries as the
answer has rows is in the documents of these rows. Any other is in the document of the request's
own id, whole.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple, cast

from closedloop.loop import events
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import OWNER, Predictor, document_id
from closedloop.loop.observation import Observation
from closedloop.loop.scoring.row import lent_stamp

Document = dict[str, object]

PAYLOAD_BYTES = 1 << 20
"""A body past this size is logged without the fields that are not scored, and marked as `cut`."""
LENT_TO = "lent_to"
"""In feedback without an answer: the predictors that answered, whose logs have it too."""
_LENT = "via"

# Past this many rows, or bytes in all, repeating the payload in each would grow with their square.
_PAYLOAD_IN_EVERY_ITEM = 100
_PAYLOAD_COPIES = 1 << 20
_FEEDBACK_FIELDS = ("reward", "truth", "request", "response")


class Section(NamedTuple):
    """The section that one event adds to one document."""

    document_id: str
    name: str
    common: Document
    content: Document

    @property
    def stamp(self) -> str:
        return stamp_of(self.content)

    @property
    def owner(self) -> Predictor:
        return predictor_of(self.common)


def sections_of(observation: Observation, answer_rows: int | None = None) -> list[Section]:
    """The sections that an event adds to documents.

    `answer_rows` is how many rows the answer has that feedback is about, None where it is not
    known. Feedback adds nothing to a row for which its truth is null.
    """
    event = observation.event
    contents, size = (
        _feedback_contents(observation, answer_rows)
        if observation.rows is None
        else _message_contents(observation)
    )
    return [
        Section(
            document_id=document_id(event.request_id, row, size),
            name=events.SECTIONS[event.type],
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


def predictor_of(document: Mapping[str, object]) -> Predictor:
    """The predictor whose log a document belongs to. Raises `InvalidEvent` when it does not say."""
    get = document.get
    namespace, deployment, predictor = get(OWNER[0]), get(OWNER[1]), get(OWNER[2])
    if isinstance(namespace, str) and isinstance(deployment, str) and isinstance(predictor, str):
        return Predictor(namespace, deployment, predictor)
    field = next(field for field in OWNER if not isinstance(get(field), str))
    raise InvalidEvent("bad_document", f"the document has no {field}: log it again")


def stamp_of(content: Mapping[str, object]) -> str:
    """The stamp of a section; feedback that another predictor lent sorts below one's own.

    Raises `InvalidEvent` (`bad_time`).
    """
    # A log that another writer began may have no `ce-id`.
    stamp = events.stamp(str(content.get("ce-time", "")), str(content.get("ce-id", "")))
    return lent_stamp(stamp, str(content[_LENT])) if _LENT in content else stamp


def lent(section: Section, owner: Predictor) -> Section:
    """Feedback that reached one predictor of a deployment, for `owner`, which answered."""
    names = dict(zip(OWNER, owner, strict=True))
    return Section(
        section.document_id,
        section.name,
        {**section.common, **names},
        {**section.content, _LENT: section.owner.predictor},
    )


def _message_contents(observation: Observation) -> tuple[list[Document | None], int]:
    said, event = observation.rows, observation.event
    assert said is not None
    size = len(said.rows)
    cut = len(event.body) > PAYLOAD_BYTES
    repeat = _repeat(size, len(event.body))
    contents: list[Document | None] = []
    for row, instance in enumerate(said.rows):
        content: Document = {"instance": instance, "dataType": said.kind, "rows": size}
        if cut:
            content |= {"cut": True, "bytes": len(event.body)}
            if event.type == events.REQUEST and len(json.dumps(instance)) > PAYLOAD_BYTES:
                content["instance"] = None
        elif row == 0 or repeat:
            content["payload"] = observation.message
        if said.names:
            content["names"] = list(said.names)
            if isinstance(instance, list) and len(instance) == len(said.names) and not cut:
                content["elements"] = dict(zip(said.names, instance, strict=True))
        if "meta" in observation.message:
            content["meta"] = observation.message["meta"]
        contents.append(content)
    return contents, size


def _feedback_contents(
    observation: Observation, answer_rows: int | None
) -> tuple[list[Document | None], int]:
    feedback, message, event = observation.feedback, observation.message, observation.event
    assert feedback is not None
    body: Document = {name: message[name] for name in _FEEDBACK_FIELDS if name in message}
    if others := {name: value for name, value in message.items() if name not in body}:
        body["other"] = others
    if feedback.reward is not None:
        # A boolean reward would not fit the numeric field that everyone else's goes to.
        body["reward"] = feedback.reward
    said = cast(Document, message.get("truth") or {})
    if feedback.truth and feedback.truth.names and not isinstance(said.get("data"), Mapping):
        # Tensors have names of their own: here they are where all others are.
        body["truth"] = {**said, "data": {"names": list(feedback.truth.names)}}
    if len(event.body) > PAYLOAD_BYTES:
        body = {name: body[name] for name in ("reward", "truth") if name in body}
        body |= {"cut": True, "bytes": len(event.body)}
    if feedback.truth is None:
        if answer_rows is not None and answer_rows > 1:
            body["answer_rows"] = answer_rows
        return [body], 1
    truths, names = feedback.truth.rows, feedback.truth.names
    brief: Document = {"truth": {**_meta(message), "data": {"names": list(names)}}}
    if answer_rows != len(truths) or len(truths) == 1:
        whole: Document = {**body, "rows": len(truths)}
        if "cut" in body or len(truths) > 1:
            whole |= brief
        whole["instance"] = truths[0] if len(truths) == 1 else truths
        if answer_rows is not None and answer_rows > 1:
            whole["answer_rows"] = answer_rows
        return [whole], 1
    rest = body
    if not _repeat(len(truths), len(event.body)):
        rest = {name: value for name, value in body.items() if name not in ("request", "response")}
        rest |= brief
    return [
        None if row is None else {**(rest if i else body), "instance": row}
        for i, row in enumerate(truths)
    ], len(truths)


def _meta(message: Mapping[str, object]) -> Document:
    truth = message.get("truth")
    return {"meta": truth["meta"]} if isinstance(truth, dict) and "meta" in truth else {}


def _repeat(rows: int, size: int) -> bool:
    return rows <= _PAYLOAD_IN_EVERY_ITEM and rows * size <= _PAYLOAD_COPIES
