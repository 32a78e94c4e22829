"""What the log tells about the past, and how to put the past right."""

from closedloop.history.amendments import (
    Amended,
    Correction,
    Version,
    amend,
    audit_trail,
    versions,
)
from closedloop.history.backfill import Index, Pipeline, Report, backfill
from closedloop.history.coverage import Cohort, Delays, coverage_by_cohort, delays
from closedloop.history.evaluate import ClassMeasures, Evaluation, Slice, evaluate, over_time
from closedloop.history.log import NothingLoggedError
from closedloop.history.measures import Measures
from closedloop.history.period import Period
from closedloop.history.records import Refused

__all__ = [
    "Amended",
    "ClassMeasures",
    "Cohort",
    "Correction",
    "Delays",
    "Evaluation",
    "Index",
    "Measures",
    "NothingLoggedError",
    "Period",
    "Pipeline",
    "Refused",
    "Report",
    "Slice",
    "Version",
    "amend",
    "audit_trail",
    "backfill",
    "coverage_by_cohort",
    "delays",
    "evaluate",
    "over_time",
    "versions",
]
