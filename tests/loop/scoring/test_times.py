from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.events import stamp
from closedloop.loop.scoring.times import DELAYS, Times, moment

NOON = "2026-01-31T12:00:00Z"
HOUR = 3600
SECONDS = st.integers(0, 40 * 86_400)


def at(second: float) -> str:
    return f"{round(second * 1_000_000_000):021d} id"


@pytest.mark.parametrize("prefix", ["", "-"])
def test_a_stamp_has_its_moment(prefix: str) -> None:
    assert moment(prefix + stamp("1970-01-01T00:00:01.5Z", "an id")) == 1_500_000_000


@pytest.mark.parametrize(
    ("delay", "bucket"),
    [(0, 0), (-5, 0), (0.01, 0), (0.010000001, 1), (0.1, 1), (1, 2), (1.000000001, 3), (10, 3),
     (60, 4), (3600, 6), (2_592_000, 10), (2_592_001, 11)],
)  # fmt: skip
def test_a_delay_is_in_the_first_bucket_that_it_does_not_exceed(delay: float, bucket: int) -> None:
    times = Times()
    times.add(at(100), at(100 + delay), 1)
    assert times.delays() == [0] * bucket + [1] * (len(DELAYS) + 1 - bucket)
    assert times.delay_seconds == pytest.approx(max(0, delay))


def test_an_answer_without_truth_has_no_delay() -> None:
    times = Times()
    times.add(at(100), "", 1)
    assert times.delays()[-1] == 0
    assert list(times.cohorts(100, 1)) == [(0, 0, 1)]


def test_cohorts_are_hours_by_the_clock() -> None:
    times = Times()
    for second, judged in ((0, ""), (HOUR - 1, at(HOUR)), (HOUR, ""), (2 * HOUR, at(2 * HOUR))):
        times.add(at(second), judged, 1)
    now = 2 * HOUR + 1
    assert list(times.cohorts(now, 4)) == [(0, 1, 0), (1, 0, 1), (2, 1, 1), (3, 0, 0)]


@given(st.lists(st.tuples(SECONDS, st.none() | SECONDS), max_size=20), st.data())
def test_counts_equal_a_recount_whatever_was_taken_back(
    rows: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    times = Times()
    gone = data.draw(st.lists(st.sampled_from(rows), unique=True)) if rows else []
    for answered, judged in rows:
        times.add(at(answered), "" if judged is None else at(judged), 1)
    for answered, judged in gone:
        times.add(at(answered), "" if judged is None else at(judged), -1)
    left = list((Counter(rows) - Counter(gone)).elements())
    delays = [max(0, judged - answered) for answered, judged in left if judged is not None]
    assert times.delays() == [sum(d <= bound for d in delays) for bound in DELAYS] + [len(delays)]
    assert times.delay_seconds == sum(delays)
    hours = 40 * 24 + 1
    assert list(times.cohorts(40 * 86_400, hours)) == [
        (
            age,
            sum(a // HOUR == hours - 1 - age and j is not None for a, j in left),
            sum(a // HOUR == hours - 1 - age and j is None for a, j in left),
        )
        for age in range(hours)
    ]
