"""The log's account of the past, and how to put the past right."""

from closedloop.log.amendments import (
    Amended,
    Correction,
    Version,
    amend,
    audit_trail,
    versions,
)
from closedloop.log.backfill import Index, Pipeline, Report, backfill
from closedloop.log.coverage import Cohort, Delays, coverage_by_cohort, delays
from closedloop.log.evaluate import ClassMeasures, Evaluation, Slice, evaluate, over_time
from closedloop.log.measures import Measures
from closedloop.log.pages import NothingLoggedError
from closedloop.log.period import Period
from closedloop.log.records import Refused

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
