"""What the log tells about the past, and how to put the past right."""

from closedloop.history.amendments import (
    Amended,
    Correction,
    Version,
    amend,
    audit_trail,
    versions,
)
from closedloop.history.evaluate import ClassMeasures, Evaluation, Slice, evaluate, over_time
from closedloop.history.log import NothingLoggedError
from closedloop.history.period import Period

__all__ = [
    "Amended",
    "ClassMeasures",
    "Correction",
    "Evaluation",
    "NothingLoggedError",
    "Period",
    "Slice",
    "Version",
    "amend",
    "audit_trail",
    "evaluate",
    "over_time",
    "versions",
]
