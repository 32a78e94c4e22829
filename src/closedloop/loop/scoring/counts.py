"""The counts over rows: a fold to which a row is added, and from which it is taken back."""

from collections import Counter

from closedloop.loop.output import Output
from closedloop.loop.scoring.confusion import ConfusionMatrix
from closedloop.loop.scoring.labels import LabelCounts
from closedloop.loop.scoring.row import Row, verdict
from closedloop.loop.scoring.sums import ExactSum
from closedloop.loop.scoring.times import Times
from closedloop.loop.scoring.verdict import STATES, SUMS


class Counts:
    """Every count of one predictor, whose answers mean what `output` declares."""

    def __init__(self, output: Output | None = None) -> None:
        self.output = output
        self.matrix = ConfusionMatrix()
        self.labels = LabelCounts()
        self.sums = {name: ExactSum() for name in SUMS}
        self.correct = 0
        self.incorrect = 0
        self.states = dict.fromkeys(STATES, 0)
        self.reasons: Counter[str] = Counter()
        self.times = Times()

    def add(self, row: Row, sign: int) -> None:
        """Count a row, or take it back when `sign` is -1."""
        if row.away or not (row.answered or row.judged):
            return
        seen = verdict(self.output, row)
        self.states[seen.state] += sign
        if seen.reason:
            self.reasons[seen.reason] += sign
        if seen.correct is not None:
            self.correct += sign * seen.correct
            self.incorrect += sign * (not seen.correct)
        if seen.pair is not None:
            self.matrix.add(*seen.pair, sign)
        if seen.labels is not None:
            self.labels.add(*seen.labels, sign)
        for name, number in seen.sums.items():
            self.sums[name].add(number, sign)
        if row.answered:
            self.times.add(row.answered, row.judged, sign)
