"""The counts over rows: a fold to which a row is added, and from which it is taken back."""

from collections import Counter
from collections.abc import Iterator, Mapping

from closedloop.loop.output import Output
from closedloop.loop.scoring.confusion import ConfusionMatrix
from closedloop.loop.scoring.labels import LabelCounts
from closedloop.loop.scoring.row import Row, verdict
from closedloop.loop.scoring.sums import ExactSum
from closedloop.loop.scoring.times import Times
from closedloop.loop.scoring.verdict import STATES, SUMS

Name = tuple[str, ...]
"""The name of one number, such as `("cell", predicted, actual)`."""


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

    def numbers(self) -> Iterator[tuple[Name, int]]:
        """The whole numbers that these counts are, without those of which there may be many."""
        yield ("correct",), self.correct
        yield ("incorrect",), self.incorrect
        for state, count in self.states.items():
            yield ("state", state), count
        for reason, count in self.reasons.items():
            yield ("reason", str(reason)), count
        for name, each in self.sums.items():
            yield ("sum", name), each.units
            yield ("summed", name), each.count
        yield ("labelled",), self.labels.rows
        yield from self.times.numbers()

    def touched(self) -> Iterator[tuple[Name, int]]:
        """The numbers of cells, labels and hours that changed since `settle`; a 0 is gone."""
        for predicted, actual in self.matrix.touched:
            yield ("cell", predicted, actual), self.matrix.count(predicted, actual)
        for label in self.labels.touched:
            for kind, count in self.labels.parts(label):
                yield ("label", kind, label), count
        for hour, judged in self.times.touched:
            yield ("hour", str(hour), str(int(judged))), self.times.cohort(hour, judged)

    def settle(self) -> None:
        """Forget which cells, labels and hours changed."""
        for each in (self.matrix.touched, self.labels.touched, self.times.touched):
            each.clear()

    def load(self, numbers: Mapping[Name, int]) -> None:
        """Set all counts, which are at 0, to the numbers that others had."""
        for (kind, *rest), number in numbers.items():
            match kind, rest:
                case "correct", []:
                    self.correct = number
                case "incorrect", []:
                    self.incorrect = number
                case "state", [state]:
                    self.states[state] = number
                case "reason", [reason]:
                    self.reasons[reason] = number
                case "sum", [name]:
                    self.sums[name].units = number
                case "summed", [name]:
                    self.sums[name].count = number
                case "cell", [predicted, actual]:
                    self.matrix.add(predicted, actual, number)
                case "labelled", []:
                    self.labels.rows = number
                case "label", [part, label]:
                    self.labels.load(part, label, number)
                case _:
                    self.times.load((kind, *rest), number)
        self.settle()
