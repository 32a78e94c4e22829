import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.scoring.sums import ExactSum

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20)


def summed(numbers: list[float]) -> ExactSum:
    total = ExactSum()
    for number in numbers:
        total.add(number)
    return total


@given(NUMBERS.flatmap(lambda numbers: st.tuples(st.just(numbers), st.permutations(numbers))))
def test_order_does_not_matter(case: tuple[list[float], list[float]]) -> None:
    assert summed(case[0]) == summed(case[1])


@given(NUMBERS)
def test_is_the_exact_sum_rounded_once(numbers: list[float]) -> None:
    exact = sum(map(Fraction, numbers), Fraction())
    try:
        expected = float(exact)
    except OverflowError:
        expected = math.inf if exact > 0 else -math.inf
    assert summed(numbers).total == expected


@given(NUMBERS, NUMBERS)
def test_what_is_taken_back_leaves_no_trace(kept: list[float], gone: list[float]) -> None:
    total = summed([*kept, *gone])
    for number in gone:
        total.add(number, -1)
    assert total == summed(kept)


@pytest.mark.parametrize("number", [0.0, -0.0, 0.1, -5e-324, 1.7976931348623157e308])
def test_one_number_is_its_own_mean(number: float) -> None:
    assert summed([number]).mean == summed([number] * 3).mean == number


def test_the_mean_of_nothing_is_undefined() -> None:
    assert ExactSum().mean is None
    assert ExactSum().total == 0


def test_sums_of_as_many_numbers_differ() -> None:
    assert summed([1.0]) != summed([2.0])
    assert summed([0.0]) != summed([])
    assert summed([]) != 0
