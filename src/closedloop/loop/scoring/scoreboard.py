"""Predictions and feedback about them, merged so that the order they come in does not matter.

State is a map from document id (the request id, plus the row of a batch) to
two last-writer-wins registers: the prediction and the feedback about it. The
writer with the greater stamp (time, then event id) wins. Such a merge is
commutative, associative and idempotent, so redelivery, reordering and replay
end in the same state, and all counts are a fold over that state, kept up to
date row by row.

Feedback with as many entries as the answer has rows speaks of each row. Any
other is held under the request's own id: as the truth of a lone row (one-hot,
say), as early truth until the answer comes, or, for a batch, as unscorable.
"""

from collections.abc import Callable, Iterator, Sequence

from closedloop.loop.keys import document_id
from closedloop.loop.output import Output
from closedloop.loop.scoring.counts import Counts
from closedloop.loop.scoring.loose import Loose, prune, together
from closedloop.loop.scoring.memory import Capacity, Held, Shared
from closedloop.loop.scoring.reading import Said, read_truth
from closedloop.loop.scoring.row import TELLING, Feedback, Outcome, Row, borrowed, order, verdict

__all__ = [
    "TELLING", "Capacity", "Feedback", "Held", "Outcome", "Row", "Scoreboard", "order", "verdict",
]  # fmt: skip

_NO_SIZES: frozenset[int] = frozenset()


class Scoreboard(Counts):
    """The state and the counts of one predictor, whose answers are read as `output` declares.

    `capacity` bounds the number of rows held. Past it a new row is not kept
    and says so (`Outcome.OVER_LIMIT`, `dropped`); rows already held go on being
    updated, so no count that was right becomes wrong. `retired` are the counts
    of rows that are counted and no longer held.
    """

    def __init__(
        self,
        output: Output | None = None,
        capacity: Capacity | None = None,
        held: Held | None = None,
    ) -> None:
        super().__init__(output)
        held = held or Held()
        self.retired = Counts(output)
        self.dropped = 0
        self._capacity = capacity
        self._rows, self._batches, self._loose = held.rows, held.batches, held.loose
        self._shared = Shared()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        """Every document id held; a mapping on disk bears changes meanwhile."""
        return iter(self._rows)

    def items(self) -> Iterator[tuple[str, Row]]:
        """Every (document id, row) held; rows must not be changed."""
        return iter(self._rows.items())

    def row(self, name: str) -> Row | None:
        """The row with this document id; it must not be changed."""
        return self._rows.get(name)

    def names(self, request_id: str) -> list[str]:
        """The ids that the rows of a request may have."""
        names = [document_id(request_id, 0, 1)]
        for size in self._batches.get(request_id, ()):
            names += [document_id(request_id, row, size) for row in range(size)]
        return names

    def answered(self, request_id: str) -> bool:
        """Whether an answer to this request is known, of however many rows."""
        row = self._rows.get(document_id(request_id, 0, 1))
        return request_id in self._batches or (row is not None and bool(row.answered))

    def unanswered(self, request_id: str) -> dict[str, Feedback]:
        """Feedback about a request that has no answer here, by stamp."""
        if request_id not in self._loose or self.answered(request_id):
            return {}
        held = self._loose[request_id].items()
        return {stamp: each.feedback for stamp, each in held if each.feedback is not None}

    def answer(self, request_id: str, stamp: str, answers: Sequence[Said]) -> Outcome:
        """Observe an answer, with the statement of each of its rows."""
        size = len(answers)
        if size == 1:
            return self.answer_row(request_id, 0, 1, stamp, answers[0])
        outcomes = [
            self.answer_row(request_id, row, size, stamp, said) for row, said in enumerate(answers)
        ]
        return min(outcomes, key=TELLING.index)

    def answer_row(self, request_id: str, row: int, size: int, stamp: str, said: Said) -> Outcome:
        """Observe one row of an answer that has `size` rows."""
        name = document_id(request_id, row, size)
        held = self._rows.get(name)
        outcome = self._outcome(held, held.answered if held else "", stamp)
        if outcome.changes:
            held = self._open(held)
            held.predicted, held.answered = self._shared.one(said), stamp
            held.misfit = held.away = False
            self._keep(name, held)
        if outcome is not Outcome.OVER_LIMIT and (size > 1 or request_id in self._loose):
            self.sized(request_id, size)
        return outcome

    def hold(self, request_id: str, read: Callable[[], Row]) -> bool:
        """Hold a lone row that is answered, if nothing is known of its request; whether so."""
        name = document_id(request_id, 0, 1)
        if self._capacity is not None or request_id in self._loose or name in self._rows:
            return False
        row = read()
        row.predicted, row.actual = map(self._shared.one, (row.predicted, row.actual))
        self._keep(name, row)
        return True

    def sized(self, request_id: str, size: int) -> None:
        """Observe how many rows an answer to a request has."""
        if size > 1:
            known = self._batches.get(request_id, _NO_SIZES)
            if size not in known:
                self._batches[request_id] = self._shared.one(known | {size})
        if (loose := self._loose.get(request_id)) is not None:
            self._settle(request_id, loose)

    def judge(self, request_id: str, stamp: str, feedback: Feedback) -> Outcome:
        """Observe feedback about a request."""
        size = feedback.entries
        if size > 1 and size in self._batches.get(request_id, ()):
            return self._judge_batch(request_id, stamp, feedback)
        name = document_id(request_id, 0, 1)
        row = self._rows.get(name)
        actual = self._read(feedback.whole(), feedback)
        outcome = self._outcome(row, row.judged if row else "", stamp)
        if outcome is Outcome.OVER_LIMIT:
            return outcome
        loose = self._loose.get(request_id)
        if loose is None and size == 1 and row is not None and row.answered:
            if outcome.changes:
                self._judge_as(name, stamp, actual, feedback.reward)
            return outcome
        if loose is None:
            loose = {}
            if row is not None and row.judged:
                loose[row.judged] = Loose(None, row.actual, row.reward)
        known = loose.get(stamp)
        if known is None:
            loose[stamp] = Loose(feedback, actual, feedback.reward)
        elif known.feedback is not None and known.feedback != feedback:
            whole = together(known.feedback, feedback)
            loose[stamp] = Loose(whole, self._read(whole.whole(), whole), whole.reward)
        prune(loose)
        self._settle(request_id, loose)
        return outcome

    def judge_row(
        self, request_id: str, row: int, size: int, stamp: str, truth: object, names: Sequence[str]
    ) -> Outcome:
        """Observe the truth about one row of an answer that has `size` rows."""
        name = document_id(request_id, row, size)
        return self._judge_row(name, stamp, truth, Feedback((truth,), tuple(names)))

    def drop_borrowed(self, request_id: str, lender: str) -> None:
        """Give back the feedback that the predictor `lender` lent."""
        for name in self.names(request_id):
            row = self._rows.get(name)
            if row is not None and borrowed(row.judged, lender):
                self._judge_as(name, "", None, None)
        if (loose := self._loose.get(request_id)) is not None:
            for stamp in [each for each in loose if borrowed(each, lender)]:
                del loose[stamp]
            self._settle(request_id, loose)

    def lend(self, request_id: str) -> None:
        """Leave feedback about a request that another predictor answered out of the counts."""
        name = document_id(request_id, 0, 1)
        if (row := self._rows.get(name)) is not None and not row.away:
            self.add(row, -1)
            row.away = True
            self._rows[name] = row

    def reclaim(self, request_id: str) -> None:
        """Have feedback in the counts again that was lent."""
        name = document_id(request_id, 0, 1)
        if (row := self._rows.get(name)) is not None and row.away:
            row.away = False
            self._keep(name, row)

    def forget(self, name: str, request_id: str) -> None:
        """Drop a row of a request, as if nothing had ever been said of it."""
        row = self._rows.pop(name, None)
        if row is None:
            return
        self.add(row, -1)
        if self._capacity is not None:
            self._capacity.held -= 1
        if name == document_id(request_id, 0, 1):
            self._loose.pop(request_id, None)
        sizes = self._batches.pop(request_id, _NO_SIZES)
        held = frozenset(
            size
            for size in sizes
            if any(document_id(request_id, row, size) in self._rows for row in range(size))
        )
        if held:
            self._batches[request_id] = self._shared.one(held)

    def retire(self, name: str, request_id: str) -> None:
        """Let go of a row and leave it in the counts, which nothing can correct from then on."""
        if (row := self._rows.get(name)) is not None:
            self.retired.add(row, 1)
            self.add(row, 1)
            self.forget(name, request_id)

    def _judge_batch(self, request_id: str, stamp: str, feedback: Feedback) -> Outcome:
        size = feedback.entries
        outcomes = [
            self._judge_row(document_id(request_id, row, size), stamp, truth, feedback)
            for row, truth in enumerate(feedback.truths)
            if truth is not None
        ]
        return min(outcomes, key=TELLING.index, default=Outcome.SUPERSEDED)

    def _judge_row(self, name: str, stamp: str, truth: object, feedback: Feedback) -> Outcome:
        row = self._rows.get(name)
        outcome = self._outcome(row, row.judged if row else "", stamp)
        if outcome.changes:
            self._judge_as(name, stamp, self._read(truth, feedback), None)
        return outcome

    def _read(self, truth: object, feedback: Feedback) -> Said | None:
        if not feedback.truths:
            return None
        return self._shared.one(read_truth(self.output, truth, feedback.names))

    def _settle(self, request_id: str, loose: dict[str, Loose]) -> None:
        """Give loose feedback to the rows it speaks of, by the answers known now."""
        sizes = self._batches.get(request_id, _NO_SIZES)
        for stamp in [each for each in loose if loose[each].entries in sizes]:
            feedback = loose.pop(stamp).feedback
            if feedback is not None:
                self._judge_batch(request_id, stamp, feedback)
        name = document_id(request_id, 0, 1)
        if loose:
            latest = max(loose)
            self._judge_as(name, latest, loose[latest].actual, loose[latest].reward)
        else:
            self._judge_as(name, "", None, None)
        row = self._rows.get(name)
        if row is not None and sizes and not (row.answered or row.misfit):
            self.add(row, -1)
            row.misfit, row.away = True, False
            self._keep(name, row)
        if loose and not (
            row is not None and row.answered and all(each.entries == 1 for each in loose.values())
        ):
            self._loose[request_id] = loose
        else:
            self._loose.pop(request_id, None)

    def _judge_as(self, name: str, stamp: str, actual: Said | None, reward: float | None) -> None:
        """Have a row judged so; with stamp "" not at all, and gone if it was not answered."""
        row = self._rows.get(name)
        if row is None and not stamp:
            return
        row = self._open(row)
        row.actual, row.reward, row.judged = actual, reward, stamp
        if stamp or row.answered:
            self._keep(name, row)
            return
        del self._rows[name]
        if self._capacity is not None:
            self._capacity.held -= 1

    def _outcome(self, row: Row | None, known: str, stamp: str) -> Outcome:
        if row is None and self._capacity is not None and self._capacity.full:
            self.dropped += 1
            return Outcome.OVER_LIMIT
        return order(known, stamp)

    def _open(self, row: Row | None) -> Row:
        """The row to change, taken out of the counts, or a new one."""
        if row is not None:
            self.add(row, -1)
            return row
        if self._capacity is not None:
            self._capacity.held += 1
        return Row()

    def _keep(self, name: str, row: Row) -> None:
        """Hold a row that changed, and count it."""
        self._rows[name] = row
        self.add(row, 1)
