"""Documents as the lines of `_bulk`: what JSON has is written, what it has not is refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.log.operations import put
from closedloop.loop.sections import Document

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800")
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _VALUES))
def test_a_document_is_written_as_json_has_it_or_refused(document: Document) -> None:
    try:
        exact = json.dumps(document, allow_nan=False)
    except ValueError:
        with pytest.raises(ValueError, match="JSON compliant"):
            put(("index", "id"), None, document)
        return
    _, line, rest = put(("index", "id"), None, document).lines.split(b"\n")
    assert json.loads(line) == json.loads(exact)
    assert rest == b""


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_json_lacks_is_refused_beside_a_null(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        put(("index", "id"), None, {"a": None, "b": [number]})


def test_a_nesting_that_nobody_reads_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        put(("index", "id"), None, {"deep": deep})
