"""Predictions and feedback about them, merged so that the order they come in does not matter.

State is a map from document id (the request id, plus the row of a batch) to
two last-writer-wins registers: what was predicted and what was said of it
later. The writer with the greater stamp (time, then event id) wins. Such a
merge is commutative, associative and idempotent, so redelivery, reordering
and replay end in the same state, and all counts are a fold over that state,
kept up to date row by row.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, cast

from closedloop.payload import ClassLabel, compared
from closedloop.scoring.confusion import ConfusionMatrix

_T = TypeVar("_T", bound=Hashable)

# Where every answer is a text of its own, sharing would only cost.
_MOST_SHARED = 10_000


class Outcome(StrEnum):
    """What an observation did to the state."""

    APPLIED = "applied"  # first of its kind for this row
    CORRECTED = "corrected"  # newer than what was known
    SUPERSEDED = "superseded"  # older than what is known: no effect
    DUPLICATE = "duplicate"  # the very same event again: no effect
    OVER_LIMIT = "over_limit"  # a new row beyond the limit: not kept

    @property
    def changes(self) -> bool:
        """Whether the state is another one than before."""
        return self in (Outcome.APPLIED, Outcome.CORRECTED)


@dataclass(slots=True)
class Row:
    """What is known of one row. A stamp of "" means nothing is known on that side."""

    predicted: ClassLabel | None = None
    names: tuple[str, ...] = ()
    answered: str = ""
    actual: ClassLabel | None = None
    reward: float | None = None
    judged: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one row contributes to the counts.

    `state` is one of `STATES`; `correct` is None unless that is `scored`, and
    `pair` (predicted, actual) is None where a reward scored it, not a truth.
    """

    state: str
    correct: bool | None = None
    pair: tuple[str, str] | None = None


STATES = ("scored", "unlabelled", "unmatched", "unscorable")


def verdict(row: Row) -> Verdict:
    """Judge one row.

    `unlabelled`: answered, no feedback yet. `unmatched`: feedback, no answer
    yet. `unscorable`: both, but the answer states no class to compare with, or
    the feedback neither class nor reward, or one of them an index only and the
    other a name only, with no class names to tell what is whose.
    """
    if not row.judged:
        return Verdict("unlabelled")
    if not row.answered:
        return Verdict("unmatched")
    if row.actual is None and row.reward is not None:
        return Verdict("scored", correct=row.reward > 0)
    if row.actual is None or row.predicted is None:
        return Verdict("unscorable")
    pair = compared(row.predicted, row.actual, row.names)
    if pair is None:
        return Verdict("unscorable")
    return Verdict("scored", correct=pair[0] == pair[1], pair=pair)


@dataclass(slots=True)
class Capacity:
    """Room for rows, in one scoreboard or shared by several."""

    limit: int
    held: int = 0

    @property
    def full(self) -> bool:
        return self.held >= self.limit


class Scoreboard:
    """The state and the counts of one predictor.

    A labelled row takes about 420 bytes (measured by `bench/restore.py`).

    `capacity` bounds the number of rows held. Past it a new row is not kept
    and says so (`Outcome.OVER_LIMIT`, `dropped`); rows already held go on being
    updated, so no count that was right becomes wrong.
    """

    def __init__(self, capacity: Capacity | None = None) -> None:
        self.matrix = ConfusionMatrix()
        self.correct = 0
        self.incorrect = 0
        self.states = dict.fromkeys(STATES, 0)
        self.dropped = 0
        self._capacity = capacity
        self._rows: dict[str, Row] = {}
        self._shared: dict[Hashable, Hashable] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def items(self) -> Iterator[tuple[str, Row]]:
        """Every (document id, row) held; rows must not be changed."""
        return iter(self._rows.items())

    def row(self, document_id: str) -> Row | None:
        """What is known of one row, which must not be changed."""
        return self._rows.get(document_id)

    def answer(
        self, document_id: str, stamp: str, predicted: ClassLabel | None, names: Sequence[str]
    ) -> Outcome:
        """Observe an answer; `predicted` is None when it states no class."""
        row = self._rows.get(document_id)
        outcome = self._outcome(row, row.answered if row else "", stamp)
        if outcome.changes:
            row = self._open(document_id)
            row.predicted, row.names = self._share(predicted), self._share(tuple(names))
            row.answered = stamp
            self._count(row, 1)
        return outcome

    def judge(
        self, document_id: str, stamp: str, actual: ClassLabel | None, reward: float | None
    ) -> Outcome:
        """Observe feedback: the actual class, or a reward when that is None."""
        row = self._rows.get(document_id)
        outcome = self._outcome(row, row.judged if row else "", stamp)
        if outcome.changes:
            row = self._open(document_id)
            row.actual, row.reward = self._share(actual), reward
            row.judged = stamp
            self._count(row, 1)
        return outcome

    def _outcome(self, row: Row | None, known: str, stamp: str) -> Outcome:
        if row is None and self._capacity is not None and self._capacity.full:
            self.dropped += 1
            return Outcome.OVER_LIMIT
        return order(known, stamp)

    def _open(self, document_id: str) -> Row:
        """The row to change, taken out of the counts."""
        row = self._rows.get(document_id)
        if row is None:
            row = self._rows[document_id] = Row()
            if self._capacity is not None:
                self._capacity.held += 1
        else:
            self._count(row, -1)
        return row

    def _count(self, row: Row, sign: int) -> None:
        seen = verdict(row)
        self.states[seen.state] += sign
        if seen.correct is not None:
            self.correct += sign * seen.correct
            self.incorrect += sign * (not seen.correct)
        if seen.pair is not None:
            self.matrix.add(*seen.pair, sign)

    def _share(self, value: _T) -> _T:
        """One object for equal values: there are few classes and many rows."""
        if len(self._shared) < _MOST_SHARED:
            return cast(_T, self._shared.setdefault(value, value))
        return cast(_T, self._shared.get(value, value))


def order(known: str, stamp: str) -> Outcome:
    """What an observation with `stamp` does where one with the stamp `known` ("": none) is held."""
    if not known:
        return Outcome.APPLIED
    if stamp == known:
        return Outcome.DUPLICATE
    return Outcome.CORRECTED if stamp > known else Outcome.SUPERSEDED
