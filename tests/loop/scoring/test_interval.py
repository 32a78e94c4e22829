import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from closedloop.loop.scoring import wilson


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.5, 0.999))
def test_agrees_with_scipy(good: int, bad: int, confidence: float) -> None:
    assume(good + bad)
    theirs = binomtest(good, good + bad).proportion_ci(confidence, method="wilson")
    assert wilson(good, good + bad, confidence) == pytest.approx(tuple(theirs), abs=1e-12)


def test_without_trials_anything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.01, 0.999))
def test_holds_the_proportion_within_0_and_1(good: int, bad: int, confidence: float) -> None:
    lower, upper = wilson(good, good + bad, confidence)
    assert 0 <= lower < upper <= 1
    if good + bad:
        assert lower <= good / (good + bad) <= upper


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_is_symmetric_and_narrows_with_more_trials(good: int, bad: int) -> None:
    lower, upper = wilson(good, good + bad)
    assert wilson(bad, good + bad) == pytest.approx((1 - upper, 1 - lower))
    wide = upper - lower
    lower, upper = wilson(4 * good, 4 * (good + bad))
    assert upper - lower < wide


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"), [(2, 1, 0.95), (-1, 1, 0.95), (1, 2, 0), (1, 2, 1)]
)
def test_refuses_what_is_no_proportion(successes: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="give"):
        wilson(successes, trials, confidence)
