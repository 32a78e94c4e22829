"""The fate of a rule of decision under repeated looks.

A path is a sequence of discordant rows; each is a win of the challenger with
probability p, independently of the others. A rule says after every row whether to stop and
which model to take. `fate` computes exactly, by dynamic programming over the
lattice of counts, how often each ending comes; `simulate` draws paths, for
readers who trust a random number more than a recursion.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import binom

from closedloop.judging.decision.evidence import PRIOR

Counts = NDArray[np.int64]
Rule = Callable[[Counts, Counts], NDArray[np.bool_]]
"""Whether to stop at (b, c), elementwise; the model that is ahead is taken then."""


@dataclass(frozen=True, slots=True)
class Fate:
    """The shares of the endings within `rows` discordant rows, and the mean number looked at."""

    rows: int
    promote: float
    keep: float
    mean_rows: float

    @property
    def decided(self) -> float:
        """Promoted or kept. For two equal models this is the share of false alarms."""
        return self.promote + self.keep


def sequential(alpha: float = 0.05, a: float = PRIOR) -> Rule:
    """Stop when the evidence reaches 1/alpha; looks after every row."""
    threshold = -math.log(alpha)

    def stop(b: Counts, c: Counts) -> NDArray[np.bool_]:
        log_evidence = betaln(a + b, a + c) - betaln(a, a) + (b + c) * math.log(2)
        return np.asarray(log_evidence >= threshold, dtype=np.bool_)

    return stop


def peeking(alpha: float = 0.05, every: int = 10) -> Rule:
    """Stop when the exact two-sided binomial test has p <= alpha; looks every `every` rows."""

    def stop(b: Counts, c: Counts) -> NDArray[np.bool_]:
        n = b + c
        # At one half the test is symmetric: twice the tail of the larger count.
        p_value = np.minimum(1.0, 2 * binom.cdf(np.minimum(b, c), n, 0.5))
        return np.asarray((n > 0) & (n % every == 0) & (p_value <= alpha), dtype=np.bool_)

    return stop


def fate(rule: Rule, p: float, rows: int) -> Fate:
    """The exact fate of a path whose rows are wins with probability `p`, within `rows` rows."""
    _check(p, rows)
    alive = np.ones(1)  # alive[b]: probability of b wins so far and of not having stopped
    promote = keep = looked = 0.0
    for n in range(1, rows + 1):
        looked += float(alive.sum())
        reached = np.zeros(n + 1)
        reached[1:] += alive * p
        reached[:-1] += alive * (1 - p)
        b = np.arange(n + 1)
        stopped = rule(b, n - b)
        promote += float(reached[stopped & (2 * b > n)].sum())
        keep += float(reached[stopped & (2 * b < n)].sum())
        alive = np.where(stopped, 0.0, reached)
    return Fate(rows, promote, keep, looked)


def simulate(rule: Rule, p: float, rows: int, *, paths: int = 2000, seed: int = 0) -> Fate:
    """The fate of `paths` random paths; the same seed draws the same ones."""
    _check(p, rows)
    wins = np.random.default_rng(seed).random((paths, rows)) < p
    b = np.cumsum(wins, axis=1, dtype=np.int64)
    n = np.arange(1, rows + 1, dtype=np.int64)
    stops = rule(b, n - b)
    stopped = stops.any(axis=1)
    last = np.where(stopped, stops.argmax(axis=1), rows - 1)
    ahead = 2 * b[np.arange(paths), last] > last + 1
    return Fate(
        rows,
        promote=float((stopped & ahead).mean()),
        keep=float((stopped & ~ahead).mean()),
        mean_rows=float((last + 1).mean()),
    )


def _check(p: float, rows: int) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}: give a probability")
    if rows < 1:
        raise ValueError(f"rows is {rows}: give at least 1")
