import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom

from closedloop.judging.decision import Verdict, decide, evidence, report

counts = st.integers(0, 400)
alphas = st.floats(0.001, 0.3)


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.5, 1.0, 2.0, 10.0]))
def test_evidence_is_the_mixture_of_likelihood_ratios(b: int, c: int, a: float) -> None:
    def ratio(p: float) -> float:
        return float(beta.pdf(p, a, a)) * p**b * (1 - p) ** c * 2.0 ** (b + c)

    # Half the range at a time keeps the end points, where the density may be infinite, apart.
    mixed = quad(ratio, 0, 0.5, limit=200)[0] + quad(ratio, 0.5, 1, limit=200)[0]
    assert evidence(b, c, a) == pytest.approx(math.log(mixed), abs=1e-5)


@given(counts, counts)
def test_evidence_is_a_martingale_under_equality(b: int, c: int) -> None:
    now = math.exp(evidence(b, c))
    assert (math.exp(evidence(b + 1, c)) + math.exp(evidence(b, c + 1))) / 2 == pytest.approx(now)


@given(counts, counts)
def test_evidence_is_blind_to_which_is_called_champion(b: int, c: int) -> None:
    assert evidence(b, c) == pytest.approx(evidence(c, b))


def test_without_a_row_there_is_no_evidence() -> None:
    assert evidence(0, 0) == pytest.approx(0)


def test_uniform_evidence_has_a_closed_form() -> None:
    # 2^n / ((n + 1) * binomial(n, b)), here 2^10 / (11 * 10).
    assert math.exp(evidence(9, 1)) == pytest.approx(1024 / 110)


@given(counts, counts, alphas)
def test_the_model_that_is_ahead_wins_and_only_past_the_threshold(
    b: int, c: int, alpha: float
) -> None:
    decision = decide(b, c, alpha)
    assert (decision.verdict is Verdict.UNDECIDED) == (evidence(b, c) < math.log(1 / alpha))
    if decision.verdict is Verdict.PROMOTE:
        assert b > c
    if decision.verdict is Verdict.KEEP:
        assert b < c


@given(counts, counts, alphas)
def test_swapping_the_models_swaps_the_verdict(b: int, c: int, alpha: float) -> None:
    swapped = {
        Verdict.PROMOTE: Verdict.KEEP,
        Verdict.KEEP: Verdict.PROMOTE,
        Verdict.UNDECIDED: Verdict.UNDECIDED,
    }
    assert decide(b, c, alpha).verdict is swapped[decide(c, b, alpha).verdict]


@given(st.integers(0, 40), st.integers(0, 40))
def test_rows_needed_is_the_first_count_that_decides(b: int, c: int) -> None:
    decision = decide(b, c)
    needed = decision.discordant_needed
    if decision.verdict is not Verdict.UNDECIDED:
        assert needed == 0
    elif b == c:
        assert needed is None
    else:
        share = b / (b + c)
        assert needed is not None
        path = [
            evidence(b + m * share, c + m * (1 - share)) >= decision.log_threshold
            for m in range(needed + 1)
        ]
        assert path.index(True) == needed


def test_labelled_rows_needed_follow_from_the_share_of_discordant_ones() -> None:
    decision = decide(12, 3, paired=150)
    assert decision.discordant_needed is not None
    assert decision.rows_needed == decision.discordant_needed * 10
    assert decide(12, 3).rows_needed is None


@pytest.mark.parametrize(
    ("b", "c", "words"),
    [
        (0, 0, "no row yet"),
        (7, 7, "no end is in sight"),
        (500_001, 500_000, "no end is in sight"),
        (12, 3, "more rows on which exactly one is right"),
        (30, 5, "Promote the challenger"),
        (5, 30, "Keep the champion"),
        (5000, 0, "e^"),
    ],
)
def test_every_decision_is_said_in_one_sentence(b: int, c: int, words: str) -> None:
    sentence = decide(b, c).sentence
    assert words in sentence
    assert sentence.endswith(".")


def test_the_report_agrees_with_sums_over_the_binomial() -> None:
    told = report(15, 5)
    outcomes = binom.pmf(np.arange(21), 20, 0.5)
    assert told.p_value == pytest.approx(outcomes[outcomes <= outcomes[15] * (1 + 1e-9)].sum())
    assert told.share == 0.75
    # Clopper and Pearson: each bound is where the tail beyond the count holds half of alpha.
    assert binom.sf(14, 20, told.low) == pytest.approx(0.025)
    assert binom.cdf(15, 20, told.high) == pytest.approx(0.025)


def test_a_report_on_nothing_claims_nothing() -> None:
    told = report(0, 0)
    assert (told.share, told.low, told.high, told.p_value) == (None, 0, 1, 1)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda: decide(-1, 0), "-1"),
        (lambda: decide(1, 1, alpha=1.5), "1.5"),
        (lambda: decide(3, 3, paired=5), "5"),
        (lambda: evidence(1, 1, a=0), "0"),
        (lambda: report(1, 1, confidence=95), "95"),
    ],
)
def test_a_number_that_does_not_fit_is_named(call: Callable[[], object], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        call()
