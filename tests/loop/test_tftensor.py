import base64
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.tftensor import MOST_VALUES, read_tensor

# Of each type that numpy has too: the field of its values.
FIELDS = {
    "DT_FLOAT": (np.float32, "floatVal"),
    "DT_DOUBLE": (np.float64, "doubleVal"),
    "DT_HALF": (np.float16, "halfVal"),
    "DT_INT8": (np.int8, "intVal"),
    "DT_UINT8": (np.uint8, "intVal"),
    "DT_INT16": (np.int16, "intVal"),
    "DT_UINT16": (np.uint16, "intVal"),
    "DT_INT32": (np.int32, "intVal"),
    "DT_INT64": (np.int64, "int64Val"),
    "DT_UINT32": (np.uint32, "uint32Val"),
    "DT_UINT64": (np.uint64, "uint64Val"),
    "DT_BOOL": (np.bool_, "boolVal"),
}


def tensor(dtype: str, *sizes: object, **fields: object) -> dict[str, Any]:
    dim = [{"size": size} if size else {} for size in sizes]
    return {"dtype": dtype, "tensorShape": {"dim": dim}, **fields}


def encoded(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def values_of(array: "np.ndarray[Any, Any]") -> list[object]:
    """As proto3's JSON mapping has them: 64-bit integers are text, halves their bits."""
    if array.dtype == np.float16:
        return list(array.view(np.uint16).tolist())
    if array.dtype in (np.int64, np.uint64):
        return [str(value) for value in array.tolist()]
    return list(array.tolist())


@pytest.mark.parametrize("dtype", FIELDS)
def test_reads_every_type_listed_and_packed(dtype: str) -> None:
    kind, field = FIELDS[dtype]
    array: np.ndarray[Any, Any] = np.array([[0, 1, 2], [100, 1, 7]]).astype(kind)
    if kind in (np.int64, np.uint64):
        array[0, 0] = np.iinfo(kind).max
    little = array.astype(array.dtype.newbyteorder("<"))
    for fields in (
        {field: values_of(array.ravel())},
        {"tensorContent": encoded(little.tobytes())},
        {field: [], "tensorContent": encoded(little.tobytes())},
    ):
        shape, values = read_tensor(tensor(dtype, "2", 3, **fields))
        assert shape == [2, 3]
        assert values == array.ravel().tolist()
        assert {type(value) for value in values} == {type(array.ravel()[0].item())}


def test_reads_text() -> None:
    said = tensor("DT_STRING", 2, stringVal=[encoded("é".encode()), encoded(b"")])
    assert read_tensor(said) == ([2], ["é", ""])


def test_the_last_value_is_repeated() -> None:
    assert read_tensor(tensor("DT_INT32", 4, intVal=[1, 7]))[1] == [1, 7, 7, 7]


@pytest.mark.parametrize(
    ("dtype", "filler"),
    [("DT_FLOAT", 0), ("DT_INT64", 0), ("DT_BOOL", False), ("DT_STRING", "")],
)
def test_no_values_are_zeros(dtype: str, filler: object) -> None:
    assert read_tensor(tensor(dtype, 2)) == ([2], [filler, filler])


def test_a_scalar_has_no_dimensions() -> None:
    assert read_tensor({"dtype": "DT_DOUBLE", "doubleVal": [0.97]}) == ([], [0.97])
    assert read_tensor(tensor("DT_DOUBLE", doubleVal=[0.97])) == ([], [0.97])


def test_a_size_that_is_left_out_is_zero() -> None:
    assert read_tensor(tensor("DT_FLOAT", 0, 3)) == ([0, 3], [])


def test_numbers_that_are_none_come_as_text() -> None:
    said = tensor("DT_FLOAT", 2, floatVal=["NaN", "-Infinity"])
    assert read_tensor(said)[1] == ["NaN", "-Infinity"]
    packed = tensor("DT_DOUBLE", 1, tensorContent=encoded(struct.pack("<d", float("nan"))))
    assert read_tensor(packed)[1] == ["NaN"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"dtype": "DT_INVALID"},
        {"dtype": ["DT_FLOAT"]},
        tensor("DT_COMPLEX64", 1),
        tensor("DT_FLOAT", -1),
        tensor("DT_FLOAT", "x"),
        tensor("DT_FLOAT", None, "1_0"),
        tensor("DT_FLOAT", [1]),
        tensor("DT_FLOAT", 1.5),
        tensor("DT_FLOAT", MOST_VALUES + 1),
        tensor("DT_FLOAT", 2**40, 2**40),
        tensor("DT_FLOAT", 1, floatVal=[1, 2]),
        tensor("DT_FLOAT", 1, floatVal=1),
        tensor("DT_FLOAT", 1, floatVal=["x"]),
        tensor("DT_FLOAT", 1, floatVal=[None]),
        tensor("DT_FLOAT", 1, floatVal=[True]),
        tensor("DT_FLOAT", 1, floatVal=[10**400]),
        tensor("DT_HALF", 1, halfVal=[70_000]),
        tensor("DT_HALF", 1, halfVal=[-1]),
        tensor("DT_INT32", 1, intVal=["one"]),
        tensor("DT_INT32", 1, intVal=[1.5]),
        tensor("DT_BOOL", 1, boolVal=["false"]),
        tensor("DT_STRING", 1, stringVal=["not base 64"]),
        tensor("DT_STRING", 1, stringVal=[encoded(b"\xff")]),
        tensor("DT_FLOAT", 1, tensorContent=encoded(b"123")),
        tensor("DT_FLOAT", 1, tensorContent="****"),
        {"dtype": "DT_FLOAT", "tensorShape": {"dim": "2"}},
        {"dtype": "DT_FLOAT", "tensorShape": {"dim": [2]}},
        {"dtype": "DT_FLOAT", "tensorShape": {"unknownRank": True}},
        {"dtype": "DT_FLOAT", "tensorShape": [2]},
    ],
)
def test_refuses_what_is_no_tensor(said: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_tensor(said)


@given(st.sampled_from(sorted(FIELDS)), st.binary(max_size=64), st.integers(0, 9))
def test_any_content_is_read_or_refused(dtype: str, packed: bytes, count: int) -> None:
    said = tensor(dtype, count, tensorContent=encoded(packed))
    try:
        shape, values = read_tensor(said)
    except ValueError:
        return
    assert (shape, len(values)) == ([count], count)
