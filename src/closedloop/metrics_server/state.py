"""What the metrics server knows: a scoreboard for each predictor, fed by events and by the log.

Pure. Both feeds merge into the same rows, so it does not matter which comes
first, nor whether the other has been there before.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from closedloop import events
from closedloop.documents import Predictor, answers_of, judgements_of, predictor_of, row_of
from closedloop.events import Event
from closedloop.scoring.scoreboard import Capacity, Outcome, Scoreboard


class Ignored(StrEnum):
    """The outcome of an event that says nothing about a row held here."""

    IGNORED = "ignored"  # a request, or of a predictor that the filter leaves out


# An event of many rows has the first of these that one of its rows has.
_TELLING = (
    Outcome.OVER_LIMIT,
    Outcome.APPLIED,
    Outcome.CORRECTED,
    Outcome.SUPERSEDED,
    Outcome.DUPLICATE,
)


class State:
    """Every row of every predictor, at most `row_limit` in all.

    `only` are the predictors to hold; empty: all. `missing` is how many rows
    are known not to be held for want of room (of the events since the last
    full replay, how many rows they named), `changes` grows with every change,
    and `mismatches` are the differing cells found by the last comparison.
    """

    def __init__(self, row_limit: int, only: Collection[Predictor] = frozenset()) -> None:
        self.boards: dict[Predictor, Scoreboard] = {}
        self.capacity = Capacity(row_limit)
        self.missing = 0
        self.changes = 0
        self.mismatches: dict[Predictor, int] = {}
        self._only = only

    def observe(self, event: Event) -> Outcome | Ignored:
        """Take an event in.

        Raises `InvalidEvent`, the state then being what it was before.
        """
        predictor = Predictor(event.namespace, event.deployment, event.predictor)
        if event.type == events.REQUEST or not self._wanted(predictor):
            return Ignored.IGNORED
        stamp = event.stamp
        if event.type == events.RESPONSE:
            answers = answers_of(event)
            board = self._board(predictor)
            outcomes = [board.answer(name, stamp, label, names) for name, label, names in answers]
        else:
            judgements = judgements_of(event)
            board = self._board(predictor)
            outcomes = [
                board.judge(name, stamp, label, reward) for name, label, reward in judgements
            ]
        self.changes += sum(outcome.changes for outcome in outcomes)
        self.missing += outcomes.count(Outcome.OVER_LIMIT)
        return min(outcomes, key=_TELLING.index)

    def restore(self, document_id: str, document: Mapping[str, object]) -> bool | None:
        """Take in what a document of the log says; whether that changed anything.

        None when there is no room for it. Raises `InvalidEvent` for a document
        that is not of the log's shape.
        """
        predictor = predictor_of(document)
        row = row_of(document)
        if not self._wanted(predictor) or not (row.answered or row.judged):
            return False
        board = self._board(predictor)
        outcomes = []
        if row.answered:
            outcomes.append(board.answer(document_id, row.answered, row.predicted, row.names))
        if row.judged:
            outcomes.append(board.judge(document_id, row.judged, row.actual, row.reward))
        if Outcome.OVER_LIMIT in outcomes:
            return None
        changed = any(outcome.changes for outcome in outcomes)
        self.changes += changed
        return changed

    def compare(self, logged: Mapping[Predictor, Mapping[tuple[str, str], int]]) -> None:
        """Set `mismatches` to how many cells of each confusion matrix differ from `logged`."""
        wanted = {predictor for predictor in logged if self._wanted(predictor)}
        self.mismatches = {
            predictor: _differences(
                self.boards[predictor].matrix.counts() if predictor in self.boards else {},
                logged.get(predictor, {}),
            )
            for predictor in self.boards.keys() | wanted
        }

    def _wanted(self, predictor: Predictor) -> bool:
        return not self._only or predictor in self._only

    def _board(self, predictor: Predictor) -> Scoreboard:
        board = self.boards.get(predictor)
        if board is None:
            board = self.boards[predictor] = Scoreboard(self.capacity)
        return board


def _differences(ours: Mapping[tuple[str, str], int], theirs: Mapping[tuple[str, str], int]) -> int:
    return sum(ours.get(cell, 0) != theirs.get(cell, 0) for cell in ours.keys() | theirs.keys())
