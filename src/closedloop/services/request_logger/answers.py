"""The answers to a request that feedback may be about: their documents, and their sizes."""

from collections.abc import Collection

from closedloop.log.operations import Key, Known
from closedloop.loop.documents import read_document
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import OWNER, Predictor, document_id, index_name, kept_apart

ANSWER_FIELDS = (*OWNER, "RequestId", "Row", "answer_sizes", "response.rows", "response.ce-time")
"""The fields of a document that `answer_sizes` needs: it may have megabytes of others."""


def first_rows(owner: Predictor, request_id: str) -> list[Key]:
    """The keys of the first row of an answer of several rows: the plain one, and kept apart."""
    index, name = index_name(*owner), document_id(request_id, 0, 2)
    return [(index, name), (index, kept_apart(name, owner))]


def answer_sizes(known: Known | None, owner: Predictor) -> set[int]:
    """The sizes of the answers that the document of a first row is of; none where it is not this
    owner's."""
    if known is None:
        return set()
    try:
        logged = read_document(known.source)
    except InvalidEvent:
        return set()
    if logged.predictor != owner or not logged.response:
        return set()
    return {logged.size, *logged.other_sizes}


def fitting(sizes: Collection[int], entries: int) -> int | None:
    """The size among those of a request's answers that feedback with so many entries fits; else
    the largest, None where there is no answer."""
    return entries if entries in sizes else max(sizes, default=None)
