"""The statement of one row of an answer or of a truth, by the declaration of its predictor.

Nothing is guessed: a row whose meaning is not certain states nothing, for a reason that says
which declaration is missing.
"""

from collections.abc import Sequence

from closedloop.loop.output import Output
from closedloop.loop.scoring import certain, declared
from closedloop.loop.scoring.said import ADVICE, REASONS, Reason, Said, nothing

__all__ = ["ADVICE", "REASONS", "Reason", "Said", "read_answer", "read_truth"]


def read_answer(output: Output | None, value: object, names: Sequence[str] = ()) -> Said:
    """Read row `value` of an answer whose columns have these names."""
    if output is None:
        return certain.answer(value, tuple(names))
    try:
        return declared.answer(output, value, tuple(names))
    except declared.Unreadable as error:
        return nothing(error.reason)


def read_truth(output: Output | None, value: object, names: Sequence[str] = ()) -> Said:
    """Read row `value` of a truth whose columns have these names."""
    if output is None:
        return certain.truth(value, tuple(names))
    try:
        return declared.truth(output, value, tuple(names))
    except declared.Unreadable as error:
        return nothing(error.reason)
