"""One row as it is known: the prediction, the feedback about it, and the verdict."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from closedloop.loop.output import Output
from closedloop.loop.scoring.said import Reason, Said, single
from closedloop.loop.scoring.verdict import UNLABELLED, UNMATCHED, Verdict, judge, unscorable


class Outcome(StrEnum):
    """The effect of an observation on the state."""

    APPLIED = "applied"  # first of its kind for this row
    CORRECTED = "corrected"  # newer than the known one
    SUPERSEDED = "superseded"  # older than the known one: no effect
    DUPLICATE = "duplicate"  # the very same event again: no effect
    OVER_LIMIT = "over_limit"  # a new row beyond the limit: not kept

    @property
    def changes(self) -> bool:
        """Whether the state is another one than before."""
        return self is _APPLIED or self is _CORRECTED


_APPLIED, _CORRECTED = Outcome.APPLIED, Outcome.CORRECTED
# An event of many rows has the first of these that one of its rows has.
TELLING = (
    Outcome.OVER_LIMIT,
    Outcome.APPLIED,
    Outcome.CORRECTED,
    Outcome.SUPERSEDED,
    Outcome.DUPLICATE,
)


@dataclass(slots=True)
class Row:
    """The prediction of one row and the feedback about it; a stamp of "" means that there is none.

    `misfit` is true of feedback whose request was answered with another number of rows, `away`
    of feedback without an answer that was lent to another predictor.
    """

    predicted: Said | None = None
    answered: str = ""
    actual: Said | None = None
    reward: float | None = None
    judged: str = ""
    misfit: bool = False
    away: bool = False


class Feedback(NamedTuple):
    """The statement of one piece of feedback: a truth for each row, None for no word of it, or a
    reward. `names` are the columns of the truth."""

    truths: tuple[object, ...] = ()
    names: tuple[str, ...] = ()
    reward: float | None = None

    @property
    def entries(self) -> int:
        return len(self.truths) or 1

    def whole(self) -> object:
        """All entries as the truth of one row; a column of numbers is as good as a row of them."""
        if len(self.truths) == 1:
            return self.truths[0]
        column = [single(truth) for truth in self.truths]
        # Lists of labels are several rows' truths, not one row's.
        numbers = all(isinstance(value, (int, float)) for value in column)
        return column if numbers else list(self.truths)


def lent_stamp(stamp: str, lender: str) -> str:
    """The stamp of feedback that the predictor `lender` lent: it sorts below all of one's own."""
    return f"-{stamp}\n{lender}"


def borrowed(stamp: str, lender: str) -> bool:
    """Whether feedback was lent by the predictor `lender`."""
    return stamp.startswith("-") and stamp.endswith(f"\n{lender}")


def verdict(output: Output | None, row: Row) -> Verdict:
    """Judge one row by its prediction and its feedback."""
    if not row.judged:
        return UNLABELLED
    if not row.answered or row.predicted is None:
        return unscorable(Reason.TRUTH_SHAPE) if row.misfit else UNMATCHED
    return judge(output, row.predicted, row.actual, row.reward)


def order(known: str, stamp: str) -> Outcome:
    """The effect of an observation where one with the stamp `known` ("": none) is held."""
    if not known:
        return Outcome.APPLIED
    if stamp == known:
        return Outcome.DUPLICATE
    return Outcome.CORRECTED if stamp > known else Outcome.SUPERSEDED
