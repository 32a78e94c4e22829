from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.keys import Predictor, document_id, index_name, kept_apart, owned_by

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


def test_an_index_has_no_character_that_elasticsearch_forbids() -> None:
    assert index_name("seldon", "Iris", "default") == "inference-log-seldon-seldon-iris-default"
    assert index_name('a"b', "c/d", "e f") == "inference-log-seldon-ab-cd-ef"


def test_two_owners_of_one_index_are_told_apart() -> None:
    one, other = Predictor("a", "iris", "perf-x"), Predictor("a", "iris-perf", "x")
    assert index_name(*one) == index_name(*other)
    assert kept_apart("r", one) != kept_apart("r", other) != "r"
    assert owned_by(one) != owned_by(other)
    assert {"term": {"Ce-Endpoint": "perf-x"}} in owned_by(one)
