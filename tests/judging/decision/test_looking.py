import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from closedloop.judging.decision import decide, fate, peeking, report, sequential, simulate
from closedloop.judging.decision.evidence import Verdict
from closedloop.judging.decision.looking import Rule


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("a", [0.5, 1.0, 5.0])
def test_false_decisions_stay_below_alpha_however_often_one_looks(alpha: float, a: float) -> None:
    assert fate(sequential(alpha, a), 0.5, rows=1500).decided <= alpha


@pytest.mark.parametrize("p", [0.1, 0.3, 0.45, 0.49])
def test_a_worse_challenger_is_promoted_less_often_than_an_equal_one(p: float) -> None:
    rule = sequential(0.05)
    worse, equal = (fate(rule, chance, rows=1000).promote for chance in (p, 0.5))
    assert worse < equal <= 0.05 / 2


def test_simulated_false_decisions_stay_below_alpha() -> None:
    paths, alpha = 4000, 0.05
    false = simulate(sequential(alpha), 0.5, rows=1000, paths=paths, seed=1).decided
    # Were the true share alpha, this many or more would come up once in 10,000 runs.
    assert binomtest(round(false * paths), paths, alpha, alternative="greater").pvalue > 1e-4
    assert false > 0  # the rule does decide now and then: the bound is not an empty one


# Power at alpha 0.05: the share of the challenger's wins among discordant rows,
# how often it is promoted within 500 of them, and the mean number looked at.
POWER = [
    (0.55, 0.243, 436),
    (0.60, 0.914, 231),
    (0.65, 1.000, 100),
    (0.70, 1.000, 54),
    (0.80, 1.000, 23),
    (0.90, 1.000, 13),
]


@pytest.mark.parametrize(("p", "promoted", "mean_rows"), POWER)
def test_power_is_as_documented(p: float, promoted: float, mean_rows: int) -> None:
    exact = fate(sequential(0.05), p, rows=500)
    assert exact.promote == pytest.approx(promoted, abs=6e-4)
    assert exact.mean_rows == pytest.approx(mean_rows, abs=0.6)
    assert exact.keep < 0.01


# False alarms of the exact test at 5 %, looked at every 10 discordant rows.
@pytest.mark.parametrize(("rows", "alarms"), [(10, 0.021), (100, 0.143), (500, 0.267)])
def test_peeking_at_a_fixed_sample_test_lies(rows: int, alarms: float) -> None:
    assert fate(peeking(0.05, every=10), 0.5, rows).decided == pytest.approx(alarms, abs=6e-4)


@pytest.mark.parametrize("rule", [sequential(0.2), peeking(0.2, every=3)])
@pytest.mark.parametrize("p", [0.5, 0.7])
def test_fate_equals_the_sum_over_all_paths(rule: Rule, p: float) -> None:
    rows, promote, keep = 12, 0.0, 0.0
    wins, losses = np.indices((rows + 1, rows + 1))
    stops = rule(wins, losses)
    for path in product((0, 1), repeat=rows):
        chance = math.prod(p if win else 1 - p for win in path)
        for n in range(1, rows + 1):
            b = sum(path[:n])
            if stops[b, n - b]:
                promote, keep = (
                    promote + chance * (2 * b > n),
                    keep + chance * (2 * b < n),
                )
                break
    exact = fate(rule, p, rows)
    assert (exact.promote, exact.keep) == pytest.approx((promote, keep))


@pytest.mark.parametrize("rule", [sequential(), peeking()])
def test_simulation_and_recursion_agree(rule: Rule) -> None:
    paths = 4000
    drawn, exact = simulate(rule, 0.6, 200, paths=paths, seed=3), fate(rule, 0.6, 200)
    spread = math.sqrt(exact.promote * (1 - exact.promote) / paths)
    assert drawn.promote == pytest.approx(exact.promote, abs=4 * spread)
    assert drawn.mean_rows == pytest.approx(exact.mean_rows, rel=0.05)


def test_the_rules_are_the_ones_that_decide() -> None:
    wins, losses = np.indices((16, 16))
    stops, alarms = sequential(0.1)(wins, losses), peeking(0.1, every=1)(wins, losses)
    for b, c in product(range(16), repeat=2):
        assert stops[b, c] == (decide(b, c, 0.1).verdict is not Verdict.UNDECIDED)
        assert alarms[b, c] == (report(b, c).p_value <= 0.1)


def test_the_same_seed_draws_the_same_paths() -> None:
    assert simulate(peeking(), 0.5, 50, seed=7) == simulate(peeking(), 0.5, 50, seed=7)


@pytest.mark.parametrize(("p", "rows"), [(1.5, 10), (0.5, 0)])
def test_a_path_that_cannot_be_is_refused(p: float, rows: int) -> None:
    with pytest.raises(ValueError, match="give"):
        fate(sequential(), p, rows)
