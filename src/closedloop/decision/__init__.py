"""Which of two models is better: evidence, decision, and what looking repeatedly does."""

from closedloop.decision.evidence import (
    Decision,
    Report,
    Verdict,
    decide,
    evidence,
    report,
)
from closedloop.decision.looking import Fate, fate, peeking, sequential, simulate

__all__ = [
    "Decision",
    "Fate",
    "Report",
    "Verdict",
    "decide",
    "evidence",
    "fate",
    "peeking",
    "report",
    "sequential",
    "simulate",
]
