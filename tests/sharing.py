"""Platforms that tests of many files share, on one worker: they end with the last of these tests.

An idle platform takes a fifth of a core from the tests that come after.
"""

from collections.abc import Callable

import pytest

FIXTURES = ("_whole_loop", "installed")
_ends: dict[str, Callable[[], object]] = {}


def until_its_last_test(fixture: str, end: Callable[[], object]) -> None:
    """Have `end` called after the last test that asks for a fixture, one of `FIXTURES`."""
    _ends[fixture] = end


def group(item: pytest.Item) -> str:
    """The name of the tests that run on one worker: a notebook, a shared platform's, a file's."""
    if item.get_closest_marker("notebook"):
        return item.nodeid  # each has a platform of its own
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0])
    needed = getattr(item, "fixturenames", ())
    return next((name for name in FIXTURES if name in needed), item.location[0])


def place(item: pytest.Item) -> int:
    """The place of an item's group in the order: what takes longest begins.

    The two longest come first, for the worker that has the first is given the third at once.
    """
    if item.name == "test_all_in_order":
        return 0
    name = group(item)
    if name == FIXTURES[0]:
        return 1
    if item.get_closest_marker("notebook"):
        return 2
    if name in FIXTURES:
        return 3
    # What starts parts takes longer than the rest, which fills the gaps.
    return 4 + (item.get_closest_marker("embedded") is None)


def end_what_nobody_shares(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Called when an item is through: end the platform that no later one asks for."""
    name = group(item)
    if name in _ends and (nextitem is None or group(nextitem) != name):
        _ends.pop(name)()
