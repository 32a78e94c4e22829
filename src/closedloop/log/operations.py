"""The writes of `_bulk`: a document with the version that it replaces, as NDJSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from closedloop.loop import rfc3339
from closedloop.loop.sections import Document

Key = tuple[str, str]
"""Index and document id."""

FIRST_WRITE = "first_logged_at"
"""The field with the time of a document's first write; logs from before there was one lack it."""

# Far below the limit of Elasticsearch, which keeps the memory of both low, and above
# a thousand documents of a small model: smaller requests cost more for each.
REQUEST_BYTES = 4 << 20

_exact = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Known:
    """A document as Elasticsearch has it, and the version that a write must replace.

    `index` is where it is, if that is not the index of its key, which may be an alias.
    """

    source: Document
    seq_no: int
    primary_term: int
    index: str = ""


class Operation(NamedTuple):
    """One action of a `_bulk` request: `lines` is its action and its document, as NDJSON.

    `pieces` is for the caller: how many of the parts that wait for the document are in it.
    """

    key: Key
    lines: bytes
    pieces: int = 1


class Result(NamedTuple):
    """The outcome of one operation, by its HTTP status; it is one of the four."""

    status: int
    error: str = ""

    @property
    def written(self) -> bool:
        return self.status < 300

    @property
    def conflict(self) -> bool:
        """The document was written, or gone, since it was read."""
        return self.status in (404, 409)

    @property
    def later(self) -> bool:
        """Elasticsearch has too much to do, or a fault of its own."""
        return self.status >= 500 or self.status == 429

    @property
    def refused(self) -> bool:
        """Sent again it would be refused again."""
        return not (self.written or self.conflict or self.later)


def put(key: Key, known: Known | None, document: Document, pieces: int = 1) -> Operation:
    """The write of a document in place of just the version that was read, or where none was.

    Raises ValueError for a number that JSON does not have, RecursionError for too deep a nesting.
    """
    action = {"create": _at(key)} if known is None else {"index": _version(key, known)}
    return Operation(key, b"%b\n%b\n" % (_encode(action), _encode(document)), pieces)


def delete(key: Key, known: Known) -> Operation:
    """The removal of just the version of a document that was read."""
    action = {"delete": _version(key, known)}
    return Operation(key, _encode(action) + b"\n")


def overwrite(key: Key, document: Document | None) -> Operation:
    """The write of a document in place of any version; None removes it."""
    name = "delete" if document is None else "index"
    lines = [{name: _at(key)}, *([] if document is None else [document])]
    return Operation(key, b"".join(_encode(line) + b"\n" for line in lines))


def logged(key: Key, document: Document, now: str = "") -> Document:
    """The document as it is kept in the inference log: with its id, and the time of the write.

    The time of its first write stays: counts by it are those of the same documents for good.
    """
    now = now or rfc3339.now()
    first = {} if "logged_at" in document else {FIRST_WRITE: now}
    return {**document, **first, "DocumentId": key[1], "logged_at": now}


def groups(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """The operations in requests of a few megabytes, or of one operation if that is larger."""
    group: list[Operation] = []
    size = 0
    for operation in operations:
        if group and size + len(operation.lines) > REQUEST_BYTES:
            yield group
            group, size = [], 0
        group.append(operation)
        size += len(operation.lines)
    if group:
        yield group


def _encode(value: object) -> bytes:
    """The value as JSON. Raises ValueError for a number that JSON does not have."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits, half a surrogate pair, a deep nesting
        return _exact(value).encode()
    # orjson writes a number that JSON does not have as null: without any null there is none.
    return _exact(value).encode() if b"null" in text else text


def _at(key: Key) -> dict[str, object]:
    return {"_index": key[0], "_id": key[1]}


def _version(key: Key, known: Known) -> dict[str, object]:
    at = _at((known.index or key[0], key[1]))
    return {**at, "if_seq_no": known.seq_no, "if_primary_term": known.primary_term}
