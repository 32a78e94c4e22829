"""What the log tells about the past, and how to put the past right."""

from closedloop.history.evaluate import ClassMeasures, Evaluation, Slice, evaluate, over_time
from closedloop.history.log import NothingLoggedError
from closedloop.history.period import Period

__all__ = [
    "ClassMeasures",
    "Evaluation",
    "NothingLoggedError",
    "Period",
    "Slice",
    "evaluate",
    "over_time",
]
