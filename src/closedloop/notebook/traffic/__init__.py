"""Predictions and the truth about them, sent to a model as its users would send them."""

from closedloop.notebook.traffic.plan import Plan, Planned, feedback_body, request_body
from closedloop.notebook.traffic.record import Record, Tally
from closedloop.notebook.traffic.send import Traffic

__all__ = ["Plan", "Planned", "Record", "Tally", "Traffic", "feedback_body", "request_body"]
