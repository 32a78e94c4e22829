"""The writes of a batch of events: pure, one document a step, in any order of the events."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from closedloop.log.operations import Key, Known, Operation, Result, logged, put
from closedloop.loop import rfc3339
from closedloop.loop.documents import added, scored
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import DEAD_LETTERS, Predictor, kept_apart
from closedloop.loop.output import Output
from closedloop.loop.sections import (
    Document,
    Section,
    predictor_of,
    sections_of,
)
from closedloop.services.request_logger.answers import answer_sizes, first_rows, fitting
from closedloop.services.request_logger.dead_letters import DeadLetter
from closedloop.services.request_logger.entry import Answer, Entry

_T = TypeVar("_T")


@dataclass(slots=True)
class Tally:
    """Counts of a batch: `letters` are dead letters by reason, `letters_refused` why some were
    refused themselves, `reused` the owners of request ids that came with another request."""

    written: int = 0
    conflicts: int = 0
    letters: list[tuple[Entry, str]] = field(default_factory=list)
    letters_refused: list[str] = field(default_factory=list)
    reused: list[Predictor] = field(default_factory=list)


class Batch:
    """The documents that a batch of entries adds to, and the sections that still wait for them.

    `reject` makes the dead letter of an entry that Elasticsearch, or JSON,
    does not take; it gets the reason and a sentence. `kept` gets each entry of which all is
    written. `output_of` gives the declared output of a predictor.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        reject: Callable[[Entry, str, str], DeadLetter],
        kept: Callable[[Entry], None] = Entry.acknowledge,
        output_of: Callable[[Predictor], Output | None] = lambda _: None,
    ) -> None:
        self._reject = reject
        self._kept = kept
        self._output_of = output_of
        self._unplaced: list[Entry] = []
        self._sections: dict[Key, list[tuple[Entry, Section]]] = {}
        self._letters: dict[Key, list[tuple[Entry, DeadLetter]]] = {}
        # Written section by section, to tell the bad one from the good.
        self._alone: set[Key] = set()
        # A request is the first event about a document, so reading it first would find
        # nothing; creating it fails where that was wrong, and then it is read.
        self._new: set[Key] = set()
        self.tally = Tally()
        # The sizes of answers in this very batch, by owner and request id.
        self._answers: dict[tuple[Predictor, str], set[int]] = {}
        self._reused: dict[Key, int] = {}  # of the writes under way
        for entry in entries:
            if entry.observation is not None and not entry.sections:
                self._take(entry)
            for section in entry.sections:
                self._add(entry, section)
            if entry.dead_letter is not None:
                self._bury(entry, entry.dead_letter)

    def to_place(self) -> list[Key]:
        """Documents to read that tell how many rows the answers have which feedback is about."""
        return [
            key for entry in self._unplaced for key in first_rows(entry.owner, entry.request_id)
        ]

    def place(self, known: Mapping[Key, Known | None]) -> None:
        """Decide which documents feedback about several rows adds to."""
        for entry in self._unplaced:
            owner, request_id = entry.owner, entry.request_id
            sizes = set(self._answers.get((owner, request_id), ()))
            for key in first_rows(owner, request_id):
                sizes |= answer_sizes(known.get(key), owner)
            if not entry.settled:
                assert entry.observation is not None
                entry.place(
                    sections_of(entry.observation, fitting(sizes, entry.observation.entries))
                )
                for section in entry.sections:
                    self._add(entry, section)
        self._unplaced = []

    def refuse_index(self, index: str, reason: str, error: str) -> None:
        """Make dead letters of all that waits to be in this index."""
        for key in [key for key in self._sections if key[0] == index]:
            for entry, _ in self._sections.pop(key):
                self._give_back(entry, reason, error)

    def forget_settled(self) -> None:
        """Drop the sections of entries that were given up meanwhile."""
        self._unplaced = [entry for entry in self._unplaced if not entry.settled]
        self._sections = _unsettled(self._sections)
        self._letters = _unsettled(self._letters)

    def documents(self) -> list[Key]:
        """The documents that something still waits to be in."""
        return list(self._sections)

    def waiting_of(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the documents that something still waits to be in."""
        return [key for key in keys if key in self._sections]

    def is_read(self, key: Key) -> bool:
        """Whether a document is there already, for all that is known."""
        return key not in self._new

    def to_read(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the documents to read first: all but new ones, of which one an index.

        That one tells whether its index is there at all.
        """
        keys = list(keys)
        one_an_index = {key[0]: key for key in keys if key in self._new}
        return [key for key in keys if self.is_read(key) or one_an_index[key[0]] == key]

    def letters(self) -> list[Operation]:
        return [
            put(key, None, waiting[0][1].document, len(waiting))
            for key, waiting in self._letters.items()
        ]

    def operations(self, keys: Iterable[Key], known: Mapping[Key, Known | None]) -> list[Operation]:
        """The writes that bring the documents up to date: those in `known`, and new ones.

        A document that has it all already is not written again.
        """
        self._keep_apart(keys, known)
        now = rfc3339.now()
        operations = [
            self._operation(key, known.get(key), now)
            for key in keys
            if key in self._sections and (key in known or key in self._new)
        ]
        return [operation for operation in operations if operation is not None]

    def resolve(self, operation: Operation, result: Result) -> None:
        """Take note of a result; a write that failed and may yet succeed keeps waiting."""
        key = operation.key
        if key in self._letters:
            self._resolve_letter(key, result)
        elif result.written:
            self.tally.written += 1
            if reused := self._reused.get(key):
                self.tally.reused += [self._sections[key][0][0].owner] * reused
            self._settle(key, operation.pieces)
        elif result.conflict:
            self.tally.conflicts += key not in self._new
            self._new.discard(key)
        elif result.refused:
            self._refuse(key, operation.pieces, result.error)

    def give_up(self) -> None:
        """Answer all that still waits: it is not written."""
        sections = chain.from_iterable(self._sections.values())
        letters = chain.from_iterable(self._letters.values())
        for entry in {entry for entry, _ in chain(sections, letters)} | set(self._unplaced):
            entry.settle(Answer.UNAVAILABLE)
        self._sections, self._letters, self._unplaced = {}, {}, []

    def __bool__(self) -> bool:
        return bool(self._sections or self._letters or self._unplaced)

    def _take(self, entry: Entry) -> None:
        observation = entry.observation
        assert observation is not None
        if observation.feedback is not None and observation.entries > 1:
            self._unplaced.append(entry)
            return
        entry.place(sections_of(observation))
        if entry.sections[0].name == "response":
            about = entry.owner, observation.event.request_id
            self._answers.setdefault(about, set()).add(observation.entries)

    def _add(self, entry: Entry, section: Section) -> None:
        key = (entry.index, section.document_id)
        waiting = self._sections.setdefault(key, [])
        waiting.append((entry, section))
        if section.name == "request" and len(waiting) == 1:
            self._new.add(key)
        elif waiting[0][0].owner != entry.owner:
            self._new.discard(key)  # its owner must be known first

    def _keep_apart(self, keys: Iterable[Key], known: Mapping[Key, Known | None]) -> None:
        """Move the sections that wait for a document that turns out to be another predictor's.

        Two predictors may have one index name, and a mirror gives both the same request ids.
        """
        for key in keys:
            waiting = self._sections.get(key)
            if not waiting or key not in known:
                continue
            held, owner = known[key], waiting[0][0].owner
            if held is not None:
                try:
                    owner = predictor_of(held.source)
                except InvalidEvent:
                    continue  # a document of another shape is refused when it is merged
            theirs = [pair for pair in waiting if pair[0].owner == owner]
            if len(theirs) == len(waiting):
                continue
            for pair in waiting:
                if pair[0].owner != owner:
                    name = kept_apart(key[1], pair[0].owner)
                    self._sections.setdefault((key[0], name), []).append(pair)
            if theirs:
                self._sections[key] = theirs
            else:
                del self._sections[key]

    def _operation(self, key: Key, held: Known | None, now: str) -> Operation | None:
        waiting = self._sections[key]
        pieces = 1 if key in self._alone else len(waiting)
        document = held.source if held else None
        reused = 0
        try:
            for _, section in waiting[:pieces]:
                before = document
                document, _ = added(document, section)
                reused += _reused(document) != _reused(before)
            assert document is not None
            document = scored(document, self._output_of(waiting[0][0].owner))
            if held is not None and document == held.source:
                self._settle(key, pieces)
                return None
            operation = put(key, held, logged(key, document, now), pieces)
        # A document of another writer need not have our shape; JSON has no infinity.
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            self._refuse(key, pieces, f"{type(error).__name__}: {error}")
            return None
        self._reused[key] = reused
        return operation

    def _wrote_one(self, entry: Entry) -> None:
        if entry.wrote_one():
            self._kept(entry)

    def _settle(self, key: Key, pieces: int) -> None:
        for entry, _ in self._sections[key][:pieces]:
            self._wrote_one(entry)
        self._advance(key, pieces)

    def _advance(self, key: Key, pieces: int) -> None:
        del self._sections[key][:pieces]
        if not self._sections[key]:
            del self._sections[key]

    def _refuse(self, key: Key, pieces: int, error: str) -> None:
        if pieces > 1:
            self._alone.add(key)
            return
        entry, _ = self._sections[key][0]
        self._advance(key, 1)
        self._give_back(entry, "rejected", f"it cannot be written: {error}")

    def _give_back(self, entry: Entry, reason: str, error: str) -> None:
        if entry.dead_letter is None:
            entry.dead_letter = self._reject(entry, reason, error)
            self._bury(entry, entry.dead_letter)
        else:
            self._wrote_one(entry)  # one dead letter speaks for all of its rows

    def _bury(self, entry: Entry, letter: DeadLetter) -> None:
        self._letters.setdefault((DEAD_LETTERS, letter.id), []).append((entry, letter))

    def _resolve_letter(self, key: Key, result: Result) -> None:
        if result.later or result.status == 404:
            return
        taken = result.written or result.conflict  # there since an earlier delivery
        for entry, letter in self._letters.pop(key):
            if taken:
                self._wrote_one(entry)
                self.tally.letters.append((entry, letter.reason))
            else:
                entry.settle(Answer.REFUSED)
        if not taken:
            self.tally.letters_refused.append(result.error)


def _reused(document: Document | None) -> object:
    return (document or {}).get("request_history")


def _unsettled(waiting: dict[Key, list[tuple[Entry, _T]]]) -> dict[Key, list[tuple[Entry, _T]]]:
    left = {key: [pair for pair in pairs if not pair[0].settled] for key, pairs in waiting.items()}
    return {key: pairs for key, pairs in left.items() if pairs}
