from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.scoring.loose import Loose
from closedloop.loop.scoring.row import Feedback, Row, lent_stamp
from closedloop.loop.scoring.said import Said
from closedloop.services.metrics_server.store import encoding
from closedloop.services.metrics_server.store.encoding import Words, key, name_of

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=5)
UUIDS = st.uuids().map(str)
IDS = st.one_of(
    UUIDS, UUIDS.map(str.upper), TEXT, st.builds("{}-item-{}".format, UUIDS, st.integers(0, 99))
)
MOMENTS = st.integers(0, 253_402_300_799 * 10**9).map(lambda moment: f"{moment:021d}")
STAMPS = st.one_of(
    st.just(""),
    st.builds("{} {}".format, MOMENTS, IDS),
    st.builds(lambda moment, name: lent_stamp(f"{moment} {name}", "shadow"), MOMENTS, IDS),
)
SAID = st.builds(
    Said,
    st.sampled_from(["", "undeclared_number"]),
    st.none() | TEXT,
    st.none() | st.integers(0, 3),
    st.integers(0, 3),
    st.lists(TEXT, max_size=3).map(tuple),
    st.lists(FLOATS, max_size=3).map(tuple),
    st.none() | st.frozensets(TEXT, max_size=3),
)
ROWS = st.builds(
    Row,
    st.none() | SAID,
    STAMPS,
    st.none() | SAID,
    st.none() | FLOATS,
    STAMPS,
    st.booleans(),
    st.booleans(),
)
TRUTHS = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda each: st.lists(each, max_size=2) | st.dictionaries(TEXT, each, max_size=2),
    max_leaves=4,
)
FEEDBACK = st.builds(
    Feedback,
    st.lists(TRUTHS, max_size=3).map(tuple),
    st.lists(TEXT, max_size=2).map(tuple),
    st.none() | FLOATS,
)


@given(ROWS)
def test_a_row_is_read_back_as_it_was(row: Row) -> None:
    words = Words()
    said = encoding.row_bytes(row, words)
    assert encoding.row_of(said, words) == row
    known = {
        number: encoding.said_of(encoding.said_bytes(each)) for number, each in words.new.items()
    }
    assert encoding.row_of(said, Words(known)) == row


@given(st.lists(IDS, max_size=4))
def test_no_two_ids_have_one_key(names: list[str]) -> None:
    assert [name_of(key(name)) for name in names] == names
    assert len({key(name) for name in names}) == len(set(names))


@given(
    st.dictionaries(
        STAMPS,
        st.builds(Loose, st.none() | FEEDBACK, st.none() | SAID, st.none() | FLOATS),
        max_size=2,
    )
)
def test_loose_feedback_is_read_back_as_it_was(pieces: dict[str, Loose]) -> None:
    assert encoding.loose_of(encoding.loose_bytes(pieces, Words()), Words()) == pieces


@pytest.mark.parametrize("shares", [(), (0.1, 0.2, 0.7)])
def test_a_labelled_row_of_an_executor_is_small(shares: tuple[float, ...]) -> None:
    stamp = f"{10**18:021d} {UUID(int=7)}"
    row = Row(Said(label="cat", numbers=shares), stamp, Said(label="dog"), 1.0, stamp)
    size = len(key(str(UUID(int=1)))) + len(encoding.row_bytes(row, Words()))
    assert 5 + size <= 110  # five bytes say which board's row it is


def test_past_many_statements_rows_say_them_in_full() -> None:
    words = Words({number: Said(label=str(number)) for number in range(1 << 16)})
    row = Row(Said(label="another"), f"{1:021d} {UUID(int=7)}")
    assert encoding.row_of(encoding.row_bytes(row, words), words) == row
    assert not words.new
