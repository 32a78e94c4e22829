"""Memory is bounded by how many documents are read at once, whatever their size."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from closedloop.log.operations import REQUEST_BYTES, Key, Operation
from closedloop.log.portions import Portions

SMALL, LARGE = "iris", "pictures"


def written(portions: Portions, index: str, *sizes: int) -> None:
    portions.wrote(Operation((index, str(i)), b"x" * size) for i, size in enumerate(sizes))


def keys(*counts: tuple[str, int]) -> list[Key]:
    return [(index, str(i)) for index, count in counts for i in range(count)]


def lengths(portions: Portions, items: Sequence[Key]) -> list[int]:
    return [len(each) for each in portions.split(items, lambda key: key[0])]


def test_small_documents_are_read_by_the_thousand() -> None:
    portions = Portions()
    written(portions, SMALL, *[1000] * 10)
    assert lengths(portions, keys((SMALL, 4001))) == [2000, 2000, 1]


def test_large_documents_are_read_a_few_at_a_time() -> None:
    portions = Portions()
    written(portions, LARGE, 1 << 20)
    written(portions, SMALL, 1000)
    assert lengths(portions, keys((LARGE, 6), (SMALL, 1000))) == [4, 1002]


def test_a_document_larger_than_a_portion_is_one() -> None:
    portions = Portions()
    written(portions, LARGE, 2 * REQUEST_BYTES)
    assert lengths(portions, keys((LARGE, 3))) == [1, 1, 1]


def test_of_an_index_that_nothing_is_known_of_little_is_read() -> None:
    assert lengths(Portions(), keys((LARGE, 100))) == [64, 36]


def test_what_is_written_meanwhile_decides_the_next_portion() -> None:
    portions = Portions()
    split = portions.split(keys((SMALL, 1000)), lambda key: key[0])
    assert len(next(split)) == 64
    written(portions, SMALL, 1000)
    assert len(next(split)) == 936


def test_one_small_write_does_not_hide_large_documents() -> None:
    portions = Portions()
    written(portions, LARGE, 1 << 20)
    written(portions, LARGE, 100)
    assert lengths(portions, keys((LARGE, 10))) == [8, 2]


def test_what_is_not_read_takes_no_room() -> None:
    assert [len(each) for each in Portions().split(keys((LARGE, 2001)), lambda _: None)] == [
        2000,
        1,
    ]


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 2 * REQUEST_BYTES)),
    st.lists(st.sampled_from("abcd"), max_size=300),
)
def test_every_item_is_in_one_portion_and_none_is_too_large(
    sizes: dict[str, int], indices: list[str]
) -> None:
    portions = Portions()
    for index, size in sizes.items():
        portions.wrote([Operation((index, ""), bytes(size))])
    items = [(index, str(i)) for i, index in enumerate(indices)]
    made = [*portions.split(items, lambda key: key[0])]
    assert [key for portion in made for key in portion] == items
    for portion in made:
        known = [sizes.get(index, REQUEST_BYTES // 64) for index, _ in portion]
        assert len(portion) == 1 or sum(known) <= REQUEST_BYTES
