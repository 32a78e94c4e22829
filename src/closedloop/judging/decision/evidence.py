"""Evidence that one of two models is better, from the rows on which exactly one is right.

b counts the rows where the challenger alone is right, c those where the
champion alone is. Were the two equally good, b of b + c would be fair coin
tosses; rows on which both are right or both wrong say nothing about that
(Q. McNemar, Psychometrika 12, 1947).

The evidence is a beta-binomial mixture: the likelihood of the sequence under
a Beta(a, a) mixture of success probabilities over its likelihood under one
half (H. Robbins, "Statistical methods related to the law of the iterated
logarithm", Ann. Math. Stat. 41, 1970). Under equality it is a martingale that
starts at 1, so by Ville's inequality it ever reaches 1/alpha with probability
at most alpha, however often one looks, for whichever of the two. By symmetry
it is at most alpha / 2 for each. A challenger that is worse is promoted less
often still: give every row a number drawn evenly from 0 to 1, and let it be a
win of the worse challenger below its chance p, of an equal one below one half.
The equal one then has won at least as often at every row, so where the first
is promoted and was not given up before, the second is promoted by then.

The tosses must be new. A row that is asked again is no toss: its outcome is
known, and counting it multiplies b and c by the number of repeats, until any
difference decides. Leave repeats out of a list of pairs first, as
`closedloop.judging.comparison` does. The other conditions of alpha are in
`closedloop.judging.decision`.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import betaln
from scipy.stats import binomtest

ALPHA = (
    "The chance, between two equally good models, of ever deciding for one of them,"
    " however often one looks."
)
"""The meaning of alpha, in the words of every place that says it."""

PRIOR = 1.0
"""Beta(1, 1), the uniform mixture: decides soonest for models that differ a lot, and costs little
where they differ less; `tests/judging/decision/test_looking.py` holds the table."""

# Beyond this many further rows a projection says no more than "not in sight".
_HORIZON = 10**9


class Verdict(StrEnum):
    PROMOTE = "promote"
    KEEP = "keep"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Report:
    """The exact binomial test: the share of b in b + c, its interval and the p-value.

    Valid for one look at a sample size fixed beforehand, and for no other use.
    `share` is None when there is no row to go by; the interval is then (0, 1).
    """

    b: int
    c: int
    share: float | None
    low: float
    high: float
    p_value: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision and its grounds.

    `log_evidence` is decisive at `log_threshold` = ln(1/alpha). `discordant_needed` is how
    many further rows with exactly one model right it takes to get there if they go on coming in
    the ratio seen; `rows_needed` the same in rows labelled for both, given how many of those were
    discordant so far. Both are 0 once decided, and None while nothing can be said. `repeats` is
    how many pairs were left out because their row was counted already.
    """

    verdict: Verdict
    b: int
    c: int
    alpha: float
    log_evidence: float
    log_threshold: float
    discordant_needed: int | None
    rows_needed: int | None
    repeats: int = 0

    @property
    def sentence(self) -> str:
        """The decision in words."""
        seen = f"challenger alone right {self.b}, champion alone right {self.c}"
        grounds = (
            f"{seen}; evidence {_number(self.log_evidence)} to 1"
            f" against a threshold of {_number(self.log_threshold)}"
        )
        if self.repeats:
            rows = "row" if self.repeats == 1 else "rows"
            grounds += f"; {self.repeats} repeated {rows} left out"
        if self.verdict is Verdict.PROMOTE:
            return f"Promote the challenger: {grounds}."
        if self.verdict is Verdict.KEEP:
            return f"Keep the champion: {grounds}."
        if not self.b + self.c:
            return "Undecided: there is no row yet on which exactly one of the two is right."
        if self.discordant_needed is None:
            return f"Undecided: {grounds}; at the ratio seen so far no end is in sight."
        needed = f"about {self.discordant_needed} more rows on which exactly one is right"
        if self.rows_needed is not None:
            needed += f", or {self.rows_needed} more rows labelled for both"
        return f"Undecided: {grounds}; at the ratio seen so far it takes {needed}."


def report(b: int, c: int, confidence: float = 0.95) -> Report:
    """The exact two-sided binomial test of b in b + c against one half.

    The interval is Clopper and Pearson's. Raises ValueError for a negative
    count or a confidence outside (0, 1).
    """
    _check(b, c)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a number between 0 and 1")
    if not b + c:
        return Report(b, c, None, 0.0, 1.0, 1.0, confidence)
    test = binomtest(b, b + c, 0.5)
    interval = test.proportion_ci(confidence, method="exact")
    return Report(
        b, c, b / (b + c), float(interval.low), float(interval.high), float(test.pvalue), confidence
    )


def evidence(b: float, c: float, a: float = PRIOR) -> float:
    """Natural logarithm of the evidence: ln B(a+b, a+c) - ln B(a, a) + (b+c) ln 2.

    Raises ValueError for a negative count or an `a` that is not positive.
    """
    _check(b, c)
    if not (a > 0 and math.isfinite(a)):
        raise ValueError(f"a is {a}: give a positive number")
    return float(betaln(a + b, a + c) - betaln(a, a) + (b + c) * math.log(2))


def decide(
    b: int,
    c: int,
    alpha: float = 0.05,
    *,
    paired: int | None = None,
    a: float = PRIOR,
    repeats: int = 0,
) -> Decision:
    """Promote, keep or go on, at any moment and as often as one likes.

    alpha is the chance, between two equally good models, of ever deciding for
    one of them, however often one looks. `paired` is the number of rows labelled
    for both models, b and c among them, each row once; `repeats`, which only the
    sentence tells, how often a row came again. Looking often, act on the first
    decision; one that was made stands, also when later rows weaken the
    evidence. Raises ValueError for counts that do not fit or an alpha outside
    (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: give a number between 0 and 1")
    if paired is not None and paired < b + c:
        raise ValueError(f"paired is {paired}: give at least b + c, which is {b + c}")
    log_evidence, threshold = evidence(b, c, a), -math.log(alpha)
    verdict = Verdict.UNDECIDED
    if log_evidence >= threshold:
        # b == c never gets here: then no evidence exceeds 1.
        verdict = Verdict.PROMOTE if b > c else Verdict.KEEP
    discordant = 0 if verdict is not Verdict.UNDECIDED else _rows_to(threshold, b, c, a)
    rows = None
    if discordant == 0:
        rows = 0
    elif discordant is not None and paired:
        rows = math.ceil(discordant * paired / (b + c))
    return Decision(verdict, b, c, alpha, log_evidence, threshold, discordant, rows, repeats)


def _rows_to(threshold: float, b: int, c: int, a: float) -> int | None:
    """The fewest further rows, in the ratio of b to c, that reach the threshold."""
    if b == c:
        return None
    share = b / (b + c)

    def reached(more: int) -> bool:
        return evidence(b + more * share, c + more * (1 - share), a) >= threshold

    # Along a fixed ratio the log evidence is convex in the number of rows, so
    # from below the threshold it is crossed once: double, then bisect.
    high = 1
    while not reached(high):
        high *= 2
        if high > _HORIZON:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _check(b: float, c: float) -> None:
    if not (b >= 0 and c >= 0):
        raise ValueError(f"b and c are {b} and {c}: give counts of 0 or more")


def _number(log_value: float) -> str:
    return f"{math.exp(log_value):.3g}" if abs(log_value) < 600 else f"e^{log_value:.0f}"
