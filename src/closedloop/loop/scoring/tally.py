"""Counts of many rows at once, added up elsewhere, as the counts of a predictor.

A tally is flat: every count has a key of its kind and its values. So tallies of different rows add
up by key, and one of rows that have changed is taken back and counted anew.
"""

import pickle
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from closedloop.loop.output import Output
from closedloop.loop.scoring.confusion import ConfusionMatrix
from closedloop.loop.scoring.counts import Counts
from closedloop.loop.scoring.labels import LabelCounts
from closedloop.loop.scoring.sums import ExactSum
from closedloop.loop.scoring.times import DELAYS, Times

Key = tuple[str | int | bool, ...]
"""`("state", s)`, `("reason", r)`, `("correct", bool)`, `("cell", predicted, actual)`,
`("label_rows",)`, `("both", label)`, `("predicted", label)`, `("actual", label)`,
`("delay", i)` by `DELAYS` and `len(DELAYS)` above, `("cohort", hour, judged)`."""

_DELAY = "delay"


class Tally:
    """Counts by `Key`, and sums with how many numbers are in each.

    Counts are exact. A sum is as exact as whoever added it up, and is taken back without a rest.
    """

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.sums: defaultdict[str, ExactSum] = defaultdict(ExactSum)

    def add(self, other: "Tally", sign: int = 1) -> None:
        """Add the rows of another, or take them back when `sign` is -1."""
        for key, count in other.counts.items():
            self.counts[key] += sign * count
            if not self.counts[key]:
                del self.counts[key]
        for name, more in other.sums.items():
            self.sums[name].merge(more, sign)

    def add_delays(self, within: Iterable[int], judged: int, seconds: float) -> None:
        """Count `judged` truths, of which so many took at most each of `DELAYS`."""
        before = 0
        for i, count in enumerate([*within, judged]):
            self.counts[_DELAY, i] += count - before
            before = count
        self.sums[_DELAY].add(seconds)

    def forget_cohorts(self, before: int) -> None:
        """Drop the cohorts of hours before one, in hours since the epoch."""
        for key in [key for key in self.counts if key[0] == "cohort" and int(key[1]) < before]:
            del self.counts[key]

    def packed(self) -> bytes:
        """The tally in a few hundred bytes."""
        return zlib.compress(pickle.dumps(self, pickle.HIGHEST_PROTOCOL), 1)

    def as_counts(self, output: Output | None) -> Counts:
        """The counts of a predictor whose rows were counted so."""
        by_kind: dict[str, dict[Key, int]] = defaultdict(dict)
        for key, count in self.counts.items():
            by_kind[str(key[0])][key[1:]] = count
        counted = Counts(output)
        counted.states |= _by_text(by_kind["state"])
        counted.reasons.update(_by_text(by_kind["reason"]))
        counted.correct, counted.incorrect = (
            self.counts["correct", right] for right in (True, False)
        )
        counted.matrix = ConfusionMatrix(
            {(str(one), str(other)): n for (one, other), n in by_kind["cell"].items()}
        )
        labels = (_by_text(by_kind[kind]) for kind in ("both", "predicted", "actual"))
        counted.labels = LabelCounts.counted(self.counts["label_rows",], *labels)
        counted.sums |= {name: total for name, total in self.sums.items() if name in counted.sums}
        counted.times = Times.counted(
            [self.counts[_DELAY, i] for i in range(len(DELAYS) + 1)],
            self.sums[_DELAY].total,
            {(int(hour), bool(judged)): n for (hour, judged), n in by_kind["cohort"].items()},
        )
        return counted


def unpacked(packed: bytes) -> Tally:
    """A tally that this process packed."""
    tally = pickle.loads(zlib.decompress(packed))  # noqa: S301 - nobody else's
    assert isinstance(tally, Tally)
    return tally


def _by_text(counts: Mapping[Key, int]) -> dict[str, int]:
    return {str(value): count for (value,), count in counts.items()}
