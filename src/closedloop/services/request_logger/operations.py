"""The writes of `_bulk`: a document with the version that it replaces, as NDJSON."""

import json
from dataclasses import dataclass

from closedloop.loop import rfc3339
from closedloop.loop.parts import Document

Key = tuple[str, str]
"""Index and document id."""


@dataclass(frozen=True, slots=True)
class Known:
    """A document as Elasticsearch has it, and the version that a write must replace."""

    source: Document
    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One action of a `_bulk` request: `lines` is its action and its document, as NDJSON."""

    key: Key
    lines: bytes
    pieces: int  # how many of the parts that wait for this document are in it


@dataclass(frozen=True, slots=True)
class Result:
    """What `_bulk` said of one operation."""

    status: int
    error: str = ""


_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def create_lines(key: Key, document: Document) -> bytes:
    """The lines of the write of a document where none is."""
    action = {"create": {"_index": key[0], "_id": key[1]}}
    return f"{_encode(action)}\n{_encode(document)}\n".encode()


def index_lines(key: Key, held: Known, document: Document) -> bytes:
    """The lines of the write of a document in place of just the version that was read."""
    action = {"index": {"_index": key[0], "_id": key[1], **_unchanged(held)}}
    return f"{_encode(action)}\n{_encode(document)}\n".encode()


def _unchanged(held: Known) -> dict[str, int]:
    return {"if_seq_no": held.seq_no, "if_primary_term": held.primary_term}


def replace(key: Key, held: Known, document: Document, pieces: int) -> Operation:
    """The write of a document in place of just the version that was read."""
    now = rfc3339.now()
    named = {**document, "DocumentId": key[1], "logged_at": now}
    return Operation(key, index_lines(key, held, named), pieces)


def create(key: Key, document: Document) -> Operation:
    """The write of a document where none is."""
    now = rfc3339.now()
    return Operation(
        key, create_lines(key, {**document, "DocumentId": key[1], "logged_at": now}), 1
    )


def delete(key: Key, held: Known) -> Operation:
    """The removal of just the version of a document that was read."""
    action = {"delete": {"_index": key[0], "_id": key[1], **_unchanged(held)}}
    return Operation(key, f"{_encode(action)}\n".encode(), 1)


def overwrite(key: Key, document: Document | None) -> Operation:
    """The write of a document whatever is there; None removes it."""
    name = "delete" if document is None else "index"
    action = _encode({name: {"_index": key[0], "_id": key[1]}})
    lines = [action] if document is None else [action, _encode(document)]
    return Operation(key, "".join(f"{line}\n" for line in lines).encode(), 1)
