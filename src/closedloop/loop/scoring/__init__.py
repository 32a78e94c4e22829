"""Predictions joined with their truth, and the measures that come out of it."""

from closedloop.loop.scoring.confusion import ConfusionMatrix
from closedloop.loop.scoring.interval import wilson
from closedloop.loop.scoring.scoreboard import Outcome, Scoreboard

__all__ = ["ConfusionMatrix", "Outcome", "Scoreboard", "wilson"]
