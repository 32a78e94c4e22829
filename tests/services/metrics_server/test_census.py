from collections.abc import Iterable

import pytest

from closedloop.loop.keys import Predictor
from closedloop.services.metrics_server.census import Census

PETS = Predictor("seldon", "pets", "default")
APART = 60.0


def read(
    census: Census,
    held: Iterable[str],
    found: Iterable[str],
    now: float,
    changed: Iterable[str] = (),
) -> set[str]:
    """One full read of the log; the rows that it proves gone."""
    census.begin(now)
    census.found(PETS, found)
    census.changed(PETS, changed)
    return {gone[1] for gone in census.end({PETS: lambda: held}) if gone is not None}


def test_two_reads_apart_prove_a_row_gone() -> None:
    census = Census(APART)
    assert read(census, "ab", "a", 0) == set()
    assert census.suspects
    assert read(census, "ab", "a", APART) == {"b"}
    assert not census.suspects


def test_two_reads_in_a_row_prove_nothing() -> None:
    census = Census(APART)
    read(census, "ab", "a", 0)
    assert read(census, "ab", "a", APART - 1) == set()
    assert read(census, "ab", "a", APART) == {"b"}


def test_what_is_found_late_was_not_gone() -> None:
    census = Census(APART)
    read(census, "ab", "a", 0)
    assert read(census, "ab", "ab", APART) == set()
    assert read(census, "ab", "a", 2 * APART) == set()


@pytest.mark.parametrize("between", [True, False])
def test_what_an_event_changes_is_not_gone(between: bool) -> None:
    census = Census(APART)
    read(census, ["b-item-0", "b-item-1"], [], 0)
    if between:
        census.changed(PETS, ["b-item-0", "b-item-1"])
    during = [] if between else ["b-item-0", "b-item-1"]
    assert read(census, ["b-item-0", "b-item-1"], [], APART, during) == set()


def test_a_row_that_came_during_a_read_is_not_missed_by_it() -> None:
    census = Census(APART)
    read(census, "ab", "a", 0, changed="b")
    assert not census.suspects


def test_a_read_that_failed_proves_nothing() -> None:
    census = Census(APART)
    read(census, "ab", "a", 0)
    census.begin(APART)
    census.give_up()
    assert census.suspects
    assert read(census, "ab", "ab", APART) == set()
