"""Feedback that waits for the answer it is about, and the sections that it becomes there: pure."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import structlog

from closedloop.log.operations import Key, Known
from closedloop.log.store import UNREADABLE, Held, Place
from closedloop.loop import rfc3339
from closedloop.loop.documents import feedback_versions, merge, read_document, scored
from closedloop.loop.keys import Predictor, document_id, kept_apart
from closedloop.loop.output import Output
from closedloop.loop.sections import LENT_TO, Document, Section
from closedloop.services.request_logger.answers import answer_sizes, fitting

_COMMON = (
    "ServingEngine", "Ce-Namespace", "Ce-Inferenceservicename", "Ce-Endpoint", "Ce-Modelid",
    "RequestId",
)  # fmt: skip

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Feedback under a request's own id, with or without an answer there."""

    owner: Predictor
    request_id: str
    key: Key
    known: Known
    answered: bool

    @property
    def versions(self) -> list[Document]:
        return [*feedback_versions(self.known.source)]

    @property
    def borrowers(self) -> set[str]:
        """The predictors to which any version was lent."""
        named = [each.get(LENT_TO) for each in self.versions]
        return {str(one) for names in named if isinstance(names, list) for one in names}


@dataclass(frozen=True, slots=True)
class AnswerOf:
    """The known answers of a predictor to a request: their sizes above 1, and whether
    there is one of a single row."""

    owner: Predictor
    sizes: frozenset[int]
    lone: bool


def answer_of(owner: Predictor, request_id: str, held: Mapping[Place, Held]) -> AnswerOf:
    lone, first = (held[owner, document_id(request_id, 0, size)].known for size in (1, 2))
    return AnswerOf(owner, frozenset(answer_sizes(first, owner)), bool(answer_sizes(lone, owner)))


def waiting_among(found: Iterable[Held]) -> list[Waiting]:
    waiting = []
    for held in found:
        if held.known is None:
            continue
        try:
            logged = read_document(held.known.source)
        except UNREADABLE as error:
            _log.warning("document not readable", key=held.key, error=str(error))
            continue
        lone = document_id(logged.request_id, 0, 1)
        if logged.feedback and held.key[1] in (lone, kept_apart(lone, logged.predictor)):
            waiting.append(
                Waiting(
                    logged.predictor,
                    logged.request_id,
                    held.key,
                    held.known,
                    bool(logged.response),
                )
            )
    return waiting


def sections_for(waiting: Waiting, version: Document, answer: AnswerOf) -> list[Section]:
    """One version of feedback as sections of the documents of an answer."""
    common = {name: waiting.known.source.get(name, "") for name in _COMMON}
    request_id, rows = waiting.request_id, version.get("rows", 1)
    if rows in answer.sizes:
        kept = {
            name: value
            for name, value in version.items()
            if name not in ("rows", "instance", "answer_rows", LENT_TO)
        }
        return [
            Section(
                document_id(request_id, row, 2),
                "feedback",
                {**common, "Row": row},
                {**kept, "instance": truth},
            )
            for row, truth in enumerate(cast(list[object], version["instance"]))
            if truth is not None
        ]
    whole = {name: value for name, value in version.items() if name not in ("answer_rows", LENT_TO)}
    if answer.sizes:
        whole["answer_rows"] = fitting(answer.sizes, 1)
    return [Section(document_id(request_id, 0, 1), "feedback", {**common, "Row": 0}, whole)]


def without_loans(
    lender: Predictor, output: Output | None, document: Document | None
) -> Document | None:
    """The document without the feedback that `lender` lent; None where there is none of it."""
    if document is None:
        return None
    versions = [*feedback_versions(document)]
    kept = [each for each in versions if each.get("via") != lender.predictor]
    if len(kept) == len(versions):
        return None
    rest = {
        name: value
        for name, value in document.items()
        if name not in ("feedback", "feedback_history")
    }
    if kept:
        *earlier, rest["feedback"] = kept
        if earlier:
            rest["feedback_history"] = earlier
    return scored(rest, output)


def age_of(source: Document) -> float:
    """Seconds since a document was written."""
    return time.time() - rfc3339.nanoseconds(str(source.get("logged_at", ""))) / 1e9


def merged(
    sections: Iterable[Section],
    output_of: Callable[[Predictor], Output | None],
    document: Document | None,
) -> Document | None:
    """The document with these sections in it."""
    for section in sections:
        document, _ = merge(document, section, output_of(section.owner))
    return document
