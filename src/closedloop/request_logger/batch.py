"""What a batch of events writes: pure, one document a step, whatever order they came in."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import TypeVar

from closedloop.documents import Document, Part, merge
from closedloop.request_logger.dead_letters import DeadLetter
from closedloop.request_logger.entry import Answer, Entry
from closedloop.request_logger.mapping import DEAD_LETTERS

_T = TypeVar("_T")

Key = tuple[str, str]  # index, document id

_CONFLICT = (404, 409)  # written, or gone, since it was read
_LATER = 429  # Elasticsearch has too much to do


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


@dataclass(slots=True)
class Tally:
    """What happened: `letters` are reasons of dead letters, `letters_refused` why some were."""

    written: int = 0
    conflicts: int = 0
    letters: list[str] = field(default_factory=list)
    letters_refused: list[str] = field(default_factory=list)


class Batch:
    """The documents that a batch of entries adds to, and what still waits to be in them.

    `reject` makes the dead letter of an entry that Elasticsearch, or JSON,
    does not take; it gets the reason. `kept` gets each entry of which all is
    written.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        reject: Callable[[Entry, str], DeadLetter],
        kept: Callable[[Entry], None] = Entry.acknowledge,
    ) -> None:
        self._reject = reject
        self._kept = kept
        self._parts: dict[Key, list[tuple[Entry, Part]]] = {}
        self._letters: dict[Key, list[tuple[Entry, DeadLetter]]] = {}
        self._alone: set[Key] = set()  # written part by part, to tell the bad one from the good
        # A request is the first event about a document, so reading it first would find
        # nothing; creating it fails where that was wrong, and then it is read.
        self._new: set[Key] = set()
        self.tally = Tally()
        for entry in entries:
            for part in entry.parts:
                key = (entry.index, part.document_id)
                self._parts.setdefault(key, []).append((entry, part))
                if part.section == "request":
                    self._new.add(key)
            if entry.dead_letter is not None:
                self._bury(entry, entry.dead_letter)

    def forget_settled(self) -> None:
        """Drop what belongs to entries that were given up meanwhile."""
        self._parts = _unsettled(self._parts)
        self._letters = _unsettled(self._letters)

    def documents(self) -> list[Key]:
        """The documents that something still waits to be in."""
        return list(self._parts)

    def waiting_of(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the documents that something still waits to be in."""
        return [key for key in keys if key in self._parts]

    def to_read(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the documents to read first: all but new ones, of which one an index.

        That one tells whether its index is there at all.
        """
        keys = list(keys)
        one_an_index = {key[0]: key for key in keys if key in self._new}
        return [key for key in keys if key not in self._new or one_an_index[key[0]] == key]

    def letters(self) -> list[Operation]:
        return [
            Operation(key, _create(key, waiting[0][1].document), len(waiting))
            for key, waiting in self._letters.items()
        ]

    def operations(self, keys: Iterable[Key], known: Mapping[Key, Known | None]) -> list[Operation]:
        """The writes that bring the documents up to date: those in `known`, and new ones.

        A document that has it all already is not written again.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        operations = [
            self._operation(key, known.get(key), now)
            for key in keys
            if key in known or key in self._new
        ]
        return [operation for operation in operations if operation is not None]

    def resolve(self, operation: Operation, result: Result) -> None:
        """Take note of what Elasticsearch said; what failed and may yet succeed keeps waiting."""
        key = operation.key
        if key in self._letters:
            self._resolve_letter(key, result)
        elif result.status < 300:
            self.tally.written += 1
            self._settle(key, operation.pieces)
        elif result.status in _CONFLICT:
            self.tally.conflicts += key not in self._new
            self._new.discard(key)
        elif result.status < 500 and result.status != _LATER:
            self._refuse(key, operation.pieces, result.error)

    def give_up(self) -> None:
        """Answer all that still waits: it is not written."""
        parts = chain.from_iterable(self._parts.values())
        letters = chain.from_iterable(self._letters.values())
        for entry in {*(entry for entry, _ in parts), *(entry for entry, _ in letters)}:
            entry.settle(Answer.UNAVAILABLE)
        self._parts, self._letters = {}, {}

    def __bool__(self) -> bool:
        return bool(self._parts or self._letters)

    def _operation(self, key: Key, held: Known | None, now: str) -> Operation | None:
        waiting = self._parts[key]
        pieces = 1 if key in self._alone else len(waiting)
        document = held.source if held else None
        try:
            for _, part in waiting[:pieces]:
                document, _ = merge(document, part)
            assert document is not None
            if held is not None and document == held.source:
                self._settle(key, pieces)
                return None
            document["logged_at"] = now
            action = _index(key, held, document) if held else _create(key, document)
        # What someone else wrote there need not have our shape; JSON has no infinity.
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            self._refuse(key, pieces, f"{type(error).__name__}: {error}")
            return None
        return Operation(key, action, pieces)

    def _wrote_one(self, entry: Entry) -> None:
        if entry.wrote_one():
            self._kept(entry)

    def _settle(self, key: Key, pieces: int) -> None:
        for entry, _ in self._parts[key][:pieces]:
            self._wrote_one(entry)
        self._advance(key, pieces)

    def _advance(self, key: Key, pieces: int) -> None:
        del self._parts[key][:pieces]
        if not self._parts[key]:
            del self._parts[key]

    def _refuse(self, key: Key, pieces: int, error: str) -> None:
        if pieces > 1:
            self._alone.add(key)
            return
        entry, _ = self._parts[key][0]
        self._advance(key, 1)
        if entry.dead_letter is None:
            entry.dead_letter = self._reject(entry, error)
            self._bury(entry, entry.dead_letter)
        else:
            self._wrote_one(entry)  # one dead letter speaks for all of its rows

    def _bury(self, entry: Entry, letter: DeadLetter) -> None:
        self._letters.setdefault((DEAD_LETTERS, letter.id), []).append((entry, letter))

    def _resolve_letter(self, key: Key, result: Result) -> None:
        if result.status >= 500 or result.status in (404, _LATER):
            return
        taken = result.status < 300 or result.status == 409  # there since an earlier delivery
        for entry, letter in self._letters.pop(key):
            if taken:
                self._wrote_one(entry)
                self.tally.letters.append(letter.reason)
            else:
                entry.settle(Answer.REFUSED)
        if not taken:
            self.tally.letters_refused.append(result.error)


def _unsettled(waiting: dict[Key, list[tuple[Entry, _T]]]) -> dict[Key, list[tuple[Entry, _T]]]:
    left = {key: [pair for pair in pairs if not pair[0].settled] for key, pairs in waiting.items()}
    return {key: pairs for key, pairs in left.items() if pairs}


_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def _create(key: Key, document: Document) -> bytes:
    action = {"create": {"_index": key[0], "_id": key[1]}}
    return f"{_encode(action)}\n{_encode(document)}\n".encode()


def _index(key: Key, held: Known, document: Document) -> bytes:
    version = {"if_seq_no": held.seq_no, "if_primary_term": held.primary_term}
    action = {"index": {"_index": key[0], "_id": key[1], **version}}
    return f"{_encode(action)}\n{_encode(document)}\n".encode()
