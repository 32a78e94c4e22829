from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.scoring.keys import document_id

# Ids as people and hostile clients make them: made of the very pieces that keys are made of.
IDS = st.lists(
    st.sampled_from(["P", "-item", "-item-", "-item-0", "-item-00", "-item-1", "-", "0", "1"]),
    min_size=1,
    max_size=5,
).map("".join)
KEYS = st.tuples(IDS, st.integers(0, 11), st.booleans()).map(
    # A lone row has no other place in its answer than the first.
    lambda key: key if key[2] else (key[0], 0, False)
)


def test_names_as_seldons_request_logger_has_them() -> None:
    assert document_id("r", 0, 1) == "r"
    assert [document_id("r", row, 2) for row in range(2)] == ["r-item-0", "r-item-1"]


def test_does_not_depend_on_how_many_rows_there_are() -> None:
    assert document_id("r", 1, 2) == document_id("r", 1, 50_000)


@given(KEYS, KEYS)
def test_one_document_for_one_row(one: tuple[str, int, bool], other: tuple[str, int, bool]) -> None:
    def named(key: tuple[str, int, bool]) -> str:
        request_id, row, batch = key
        return document_id(request_id, row, 12 if batch else 1)

    assert (named(one) == named(other)) == (one == other)
