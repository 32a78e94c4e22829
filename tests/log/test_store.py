"""Documents brought up to date by several writers at once, over documents in memory."""

import math
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.log.operations import Key, Operation, Result, groups, put
from closedloop.log.store import ROUNDS, Change, End, Place
from closedloop.loop.keys import OWNER, Predictor
from closedloop.loop.sections import Document, predictor_of
from tests.memory_store import MemoryStore, run_at_once

KEY = ("index", "a")


def add(number: int, document: Document | None) -> Document:
    """One more number in a set of them: the order does not matter, nor whether it comes again."""
    held = (document or {}).get("numbers", [])
    assert isinstance(held, list)
    return {**(document or {}), "numbers": sorted({*held, number})}


def named(owner: Predictor, document: Document | None) -> Document:
    return {**(document or {}), **dict(zip(OWNER, owner, strict=True))}


class Interrupted(MemoryStore):
    """Before each of the first `times` writes another writer adds a number of its own."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._sleep = self._no_sleep
        self.left = times
        self.sent = 0

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        self.sent += 1
        if self.left:
            self.left -= 1
            for operation in operations:
                known = self.known(operation.key)
                theirs = add(100 + self.left, known.source if known else None)
                assert self.apply(put(operation.key, known, theirs)).written
        return await super().write(operations)

    async def _no_sleep(self, _: float) -> None: ...


@given(st.integers(0, ROUNDS - 1), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_nothing_is_lost_or_doubled_whoever_else_writes(times: int, numbers: list[int]) -> None:
    store = Interrupted(times)
    for number in numbers:
        ended = run_at_once(store.change({KEY: partial(add, number)}))
        assert ended[KEY].there
    theirs = {100 + i for i in range(times)}
    assert store.documents[KEY]["numbers"] == sorted({*numbers, *theirs})


def test_a_document_that_says_it_already_is_not_written() -> None:
    store = Interrupted(0)
    for how in (End.WRITTEN, End.UNCHANGED):
        ended = run_at_once(store.change({KEY: lambda held: add(1, held)}))
        assert ended[KEY].how is how
    assert store.sent == 1
    assert store.documents[KEY]["DocumentId"] == "a"


def test_a_document_that_others_change_all_the_time_is_given_up() -> None:
    store = Interrupted(ROUNDS)
    ended = run_at_once(store.change({KEY: lambda held: add(1, held)}))
    assert (ended[KEY].how, ended[KEY].there) == (End.GIVEN_UP, False)
    assert 1 not in store.documents[KEY]["numbers"]  # type: ignore[operator]  # a list


class Refusing(MemoryStore):
    """Answers the writes of some documents with a status."""

    def __init__(self, statuses: dict[Key, int]) -> None:
        super().__init__()
        self._sleep = self._no_sleep
        self._statuses = statuses
        self.sent = 0

    def apply(self, operation: Operation) -> Result:
        self.sent += 1
        if (status := self._statuses.get(operation.key)) is not None:
            return Result(status, "no")
        return super().apply(operation)

    async def _no_sleep(self, _: float) -> None: ...


@pytest.mark.parametrize(
    ("status", "how", "tries"),
    [(400, End.REFUSED, 1), (429, End.GIVEN_UP, ROUNDS), (503, End.GIVEN_UP, ROUNDS)],
)
def test_a_document_that_is_not_taken_harms_no_other(status: int, how: End, tries: int) -> None:
    store = Refusing({("index", "bad"): status})
    changes = dict.fromkeys([("index", "bad"), KEY], lambda held: add(1, held))
    ended = run_at_once(store.change(changes))
    assert (ended["index", "bad"].how, ended["index", "bad"].error) == (how, "no")
    assert ended[KEY].how is End.WRITTEN
    assert store.sent == tries + 1


@pytest.mark.parametrize("bad", [math.inf, object()])
def test_a_document_that_is_no_json_is_refused(bad: object) -> None:
    store = MemoryStore()
    changes = {KEY: lambda held: add(1, held), ("index", "bad"): lambda _: {"value": bad}}
    ended = run_at_once(store.change(changes))
    assert (ended["index", "bad"].how, ended[KEY].how) == (End.REFUSED, End.WRITTEN)
    assert store.documents.keys() == {KEY}


@pytest.mark.parametrize("together", [True, False])
def test_two_owners_of_one_index_have_a_document_each(together: bool) -> None:
    store = Interrupted(0)
    owners = [Predictor("ns", "iris", "default"), Predictor("ns", "Iris", "default")]
    changes: dict[Place, Change] = {(owner, "r"): partial(named, owner) for owner in owners}
    for _ in range(2):
        for place in () if together else changes:
            assert run_at_once(store.merge({place: changes[place]}))[place].there
        ended = run_at_once(store.merge(changes))
        assert all(each.there for each in ended.values())
    assert len(store.documents) == 2
    for owner in owners:
        (held,) = [run_at_once(store.find([(owner, "r")]))[owner, "r"]]
        assert held.known is not None
        assert predictor_of(held.known.source) == owner


@given(st.lists(st.integers(0, 9 << 20), max_size=8))
def test_requests_are_of_a_few_megabytes(sizes: list[int]) -> None:
    operations = [Operation(KEY, b"x" * size) for size in sizes]
    grouped = list(groups(operations))
    assert [each for group in grouped for each in group] == operations
    for group in grouped:
        assert len(group) == 1 or sum(len(each.lines) for each in group) <= 4 << 20
