"""Predictions joined with their truth, and the measures that come out of it."""

from closedloop.scoring.confusion import ConfusionMatrix
from closedloop.scoring.interval import wilson
from closedloop.scoring.scoreboard import Outcome, Scoreboard

__all__ = ["ConfusionMatrix", "Outcome", "Scoreboard", "wilson"]
