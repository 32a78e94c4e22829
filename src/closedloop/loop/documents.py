"""The inference log: which document an event belongs to and what it adds to it.

The shape is that of Seldon's own request logger (Apache-2.0,
`components/seldon-request-logger`, removed from its tree in 2022): one index a
predictor, one document a row, with `request`, `response` and `feedback` side by
side. Added here: `ce-id` beside `ce-time`, so that the newest is known; the
truth's own row as `feedback.instance`; earlier feedback in `feedback_history`;
and `score`, the join of answer and truth by what the predictor's output is
declared to mean, so that an aggregation needs no code.

Feedback with as many entries as the answer has rows is in the documents of
these rows. Any other is in the document of the request's own id, whole.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from closedloop.loop import events
from closedloop.loop.events import InvalidEvent
from closedloop.loop.observation import Observation
from closedloop.loop.output import Output
from closedloop.loop.scoring.keys import document_id
from closedloop.loop.scoring.reading import read_answer, read_truth
from closedloop.loop.scoring.row import lent_stamp
from closedloop.loop.scoring.scoreboard import Feedback, Outcome, Row, order, verdict
from closedloop.loop.scoring.times import moment

INDEX_PATTERN = "inference-log-seldon-*"
PAYLOAD_BYTES = 1 << 20
"""A body past this size is logged without what is not scored, and marked as `cut`."""

Document = dict[str, object]

OWNER = ("Ce-Namespace", "Ce-Inferenceservicename", "Ce-Endpoint")
SECTIONS = {events.REQUEST: "request", events.RESPONSE: "response", events.FEEDBACK: "feedback"}
_FORBIDDEN = re.compile(r'[!@#$"<>/?*\\|,: ]')
# Past this many rows, or bytes in all, repeating the payload in each would grow with their square.
_PAYLOAD_IN_EVERY_ITEM = 100
_PAYLOAD_COPIES = 1 << 20
_FEEDBACK_FIELDS = ("reward", "truth", "request", "response")
_EARLIER_REQUESTS = 10
_LENT = "via"
LENT_TO = "lent_to"
"""In feedback without an answer: the predictors that answered, whose logs have it too."""


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
        return stamp_of(self.content)

    @property
    def owner(self) -> Predictor:
        return predictor_of(self.common)


@dataclass(frozen=True, slots=True)
class Logged:
    """A document read back: row `row` of an answer that has `size` rows, and its sections.

    `response` and `feedback` are empty where there is none; the stamps order them.
    """

    predictor: Predictor
    request_id: str
    row: int
    size: int
    response: Mapping[str, object]
    feedback: Mapping[str, object]
    other_sizes: tuple[int, ...] = ()  # of answers to other requests with the same id

    @property
    def answered(self) -> str:
        return stamp_of(self.response) if self.response else ""

    @property
    def judged(self) -> str:
        return stamp_of(self.feedback) if self.feedback else ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the answer's columns."""
        return _names(self.response)


def index_name(namespace: str, deployment: str, predictor: str) -> str:
    """The index of one predictor's log, without the characters that an index name may not have.

    Two predictors may have one name for both: every read filters by `OWNER`.
    """
    name = f"inference-log-seldon-{namespace}-{deployment}-{predictor}"
    return _FORBIDDEN.sub("", name).lower()


def owned_by(predictor: Predictor) -> list[dict[str, object]]:
    """Elasticsearch filters for the documents of one predictor."""
    return [{"term": {field: name}} for field, name in zip(OWNER, predictor, strict=True)]


def kept_apart(name: str, owner: Predictor) -> str:
    """The document id for `owner` where another predictor's document has the plain one."""
    return f"{name}@{hashlib.sha256(json.dumps(owner).encode()).hexdigest()[:12]}"


def parts_of(observation: Observation, answer_rows: int | None = None) -> list[Part]:
    """What an event adds to which documents.

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
        Part(
            document_id=document_id(event.request_id, row, size),
            section=SECTIONS[event.type],
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


def merge(
    known: Mapping[str, object] | None, part: Part, output: Output | None = None
) -> tuple[Document, Outcome]:
    """The document with `part` in it, and what that did; neither argument is changed.

    Of two versions of a section the newer stays, whichever comes first; the
    older feedback goes to `feedback_history`, oldest first, and a request that
    differs to `request_history`: its id was used twice.
    """
    merged: Document = {**part.common, **(known or {})}
    held = merged.get(part.section)
    outcome = order(stamp_of(held) if isinstance(held, dict) else "", part.stamp)
    if outcome.changes:
        merged[part.section] = part.content
    if isinstance(held, dict) and outcome is not Outcome.DUPLICATE:
        older = held if outcome is Outcome.CORRECTED else part.content
        if part.section == "feedback":
            history, added = _with(merged.get("feedback_history"), older)
            merged["feedback_history"] = history
            if not added:
                outcome = Outcome.DUPLICATE
        elif part.section == "request" and held.get("instance") != part.content.get("instance"):
            brief = {
                name: older[name] for name in ("ce-time", "ce-id", "instance") if name in older
            }
            history, _ = _with(merged.get("request_history"), brief)
            merged["request_history"] = history[-_EARLIER_REQUESTS:]
        elif part.section == "response" and held.get("rows") != part.content.get("rows"):
            sizes = {*_sizes(merged), held.get("rows", 1), part.content.get("rows", 1)}
            merged["answer_sizes"] = sorted(sizes)
    return scored(merged, output), outcome


def scored(document: Mapping[str, object], output: Output | None) -> Document:
    """The document with its time and its score by `output`; the argument is not changed."""
    renewed: Document = {**document}
    for section in ("request", "response", "feedback"):
        if isinstance(content := renewed.get(section), dict):
            renewed["@timestamp"] = content["ce-time"]
            break
    for name in ("score", "delay_seconds"):
        renewed.pop(name, None)
    logged = read_document(renewed)
    if logged.response and logged.feedback:
        renewed["delay_seconds"] = max(0, moment(logged.judged) - moment(logged.answered)) / 1e9
    if score := _score(logged, output):
        renewed["score"] = score
    return renewed


def read_document(document: Mapping[str, object]) -> Logged:
    """A document of the log. Raises `InvalidEvent` for one that is not of this shape."""
    request_id, row = document.get("RequestId"), document.get("Row", 0)
    if not isinstance(request_id, str) or not isinstance(row, int):
        raise InvalidEvent("bad_document", "the document has no RequestId or Row: log it again")
    response, feedback = document.get("response"), document.get("feedback")
    response = response if isinstance(response, dict) else {}
    size = response.get("rows", 2 if row else 1)
    return Logged(
        predictor_of(document),
        request_id,
        row,
        size if isinstance(size, int) else 1,
        response,
        feedback if isinstance(feedback, dict) else {},
        _sizes(document),
    )


def predictor_of(document: Mapping[str, object]) -> Predictor:
    """The predictor whose log a document belongs to. Raises `InvalidEvent` when it does not say."""
    for field in OWNER:
        if not isinstance(document.get(field), str):
            raise InvalidEvent("bad_document", f"the document has no {field}: log it again")
    return Predictor(*(str(document[field]) for field in OWNER))


def feedback_in(section: Mapping[str, object]) -> Feedback:
    """What a `feedback` section states."""
    reward = section.get("reward")
    number = float(reward) if isinstance(reward, (int, float)) else None
    if "instance" not in section:
        return Feedback(reward=number)
    truth = section.get("truth")
    data = truth.get("data") if isinstance(truth, dict) else None
    names = _names(data) if isinstance(data, dict) else ()
    instance, rows = section["instance"], section.get("rows", 1)
    if isinstance(rows, int) and rows > 1 and isinstance(instance, list) and len(instance) == rows:
        return Feedback(tuple(instance), names)
    return Feedback((instance,), names)


def stamp_of(content: Mapping[str, object]) -> str:
    """The stamp of a section; feedback that another predictor lent sorts below one's own.

    Raises `InvalidEvent` (`bad_time`).
    """
    # A log that another writer began may have no `ce-id`.
    stamp = events.stamp(str(content.get("ce-time", "")), str(content.get("ce-id", "")))
    return lent_stamp(stamp, str(content[_LENT])) if _LENT in content else stamp


def lent(part: Part, owner: Predictor) -> Part:
    """Feedback that reached one predictor of a deployment, for `owner`, which answered."""
    names = dict(zip(OWNER, owner, strict=True))
    return Part(
        part.document_id,
        part.section,
        {**part.common, **names},
        {**part.content, _LENT: part.owner.predictor},
    )


def row_in(logged: Logged, output: Output | None) -> Row:
    """What a document says of its row, as a scoreboard that has this document alone holds it."""
    row = Row(answered=logged.answered, judged=logged.judged)
    if row.answered:
        row.predicted = read_answer(output, logged.response.get("instance"), logged.names)
    if row.judged:
        feedback = feedback_in(logged.feedback)
        row.reward = feedback.reward
        if feedback.truths:
            row.actual = read_truth(output, feedback.whole(), feedback.names)
        row.misfit = "answer_rows" in logged.feedback
    return row


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


def _score(logged: Logged, output: Output | None) -> Document | None:
    if not (logged.response or logged.feedback):
        return None
    if LENT_TO in logged.feedback and not logged.response:
        return None  # it counts where the answer is
    seen = verdict(output, row_in(logged, output))
    score: Document = {"state": seen.state, **seen.sums}
    if output is not None:
        score["output"] = output.digest
    if seen.reason:
        score["reason"] = seen.reason
    if seen.correct is not None:
        score["correct"] = seen.correct
    if seen.pair is not None:
        score["predicted"], score["actual"] = seen.pair
    if seen.labels is not None:
        for name, labels in zip(("predicted_labels", "actual_labels"), seen.labels, strict=True):
            score[name] = sorted(labels)
    return score


def _sizes(document: Mapping[str, object]) -> tuple[int, ...]:
    sizes = document.get("answer_sizes")
    return tuple(sizes) if isinstance(sizes, list) else ()


def _names(content: Mapping[str, object]) -> tuple[str, ...]:
    names = content.get("names")
    return tuple(str(name) for name in names) if isinstance(names, Sequence) else ()


def _with(history: object, older: Document) -> tuple[list[Document], bool]:
    versions = cast(list[Document], list(history)) if isinstance(history, list) else []
    if any(stamp_of(version) == stamp_of(older) for version in versions):
        return versions, False
    return sorted([*versions, older], key=stamp_of), True
