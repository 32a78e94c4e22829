"""The better of two models: evidence, decision, and the effect of looking repeatedly.

**Wrong decisions, and how often they come.** alpha is the chance, between two equally
good models, of ever deciding for one of them, however often one looks. Equally
good means: on the rows that come, each alone is right equally often. So a
challenger that is equal or worse is ever promoted with a chance of at most
alpha / 2, and one that is equal or better is ever decided against with a chance
of at most alpha / 2. That a better model is not found out in time is no wrong
decision but a missing one: the verdict is then *undecided*.

This holds if

- every row is a new one, whose outcome the earlier ones did not settle: a
  deterministic model answers a repeated row as before, and a repeat is the same
  coin toss again (`closedloop.judging.comparison` leaves repeats out);
- which rows get a truth does not depend on the answers to them;
- the two models are the same throughout, and since when rows count was not
  chosen by looking at the evidence;
- truths are final when they are looked at. A correction after a look changes
  the rows that were looked at: the evidence follows it, the bound on alpha does not cover
  it.
"""

from closedloop.judging.decision.evidence import (
    ALPHA,
    Decision,
    Report,
    Verdict,
    decide,
    evidence,
    report,
)
from closedloop.judging.decision.looking import Fate, fate, peeking, sequential, simulate

__all__ = [
    "ALPHA",
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
