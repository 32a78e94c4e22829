"""Values of a TensorFlow `TensorProto` in proto3's JSON mapping.

Source: `tensorflow/core/framework/tensor.proto`. A list of values shorter than the tensor repeats
its last one; `tensorContent` has all of them, little-endian. Text is UTF-8 here, and a number that
is none has the text that proto3's JSON has for it.
"""

import base64
import math
import re
import struct
from collections.abc import Mapping

# Of each type: the field of its values, and how `tensorContent` packs one.
_TYPES: Mapping[str, tuple[str, str]] = {
    "DT_FLOAT": ("floatVal", "f"),
    "DT_DOUBLE": ("doubleVal", "d"),
    "DT_HALF": ("halfVal", "e"),
    "DT_INT8": ("intVal", "b"),
    "DT_UINT8": ("intVal", "B"),
    "DT_INT16": ("intVal", "h"),
    "DT_UINT16": ("intVal", "H"),
    "DT_INT32": ("intVal", "i"),
    "DT_INT64": ("int64Val", "q"),
    "DT_UINT32": ("uint32Val", "I"),
    "DT_UINT64": ("uint64Val", "Q"),
    "DT_BOOL": ("boolVal", "?"),
    "DT_STRING": ("stringVal", ""),
}
_FRACTIONS = frozenset("fd")
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_NO_NUMBERS = {math.inf: "Infinity", -math.inf: "-Infinity"}
MOST_VALUES = 1_000_000


def read_tensor(tensor: Mapping[str, object]) -> tuple[list[int], list[object]]:
    """Shape and values, in row-major order.

    Raises ValueError or TypeError for a tensor that is not of this form.
    """
    dtype = tensor.get("dtype", "DT_INVALID")
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise ValueError(f"dtype is {dtype!r}: send one of {', '.join(_TYPES)}")
    field, code = _TYPES[dtype]
    shape = _shape(tensor.get("tensorShape"))
    count = math.prod(shape)
    if count > MOST_VALUES:
        raise ValueError(f"the tensor has {count} values: send at most {MOST_VALUES}")
    content, listed = tensor.get("tensorContent"), tensor.get(field, [])
    if isinstance(content, str) and content and code:
        packed = base64.b64decode(content, validate=True)
        if len(packed) != count * struct.calcsize(f"<{code}"):
            raise ValueError(f"tensorContent has {len(packed)} bytes, which do not fit the shape")
        return shape, [_json(value) for value in struct.unpack(f"<{count}{code}", packed)]
    if not isinstance(listed, list) or len(listed) > count:
        raise ValueError(f"{field} is no list of at most {count} values")
    values = [_value(value, code) for value in listed]
    filler: object = values[-1] if values else ("" if not code else False if code == "?" else 0)
    return shape, values + [filler] * (count - len(values))


def _shape(said: object) -> list[int]:
    if said is None:
        return []
    dims = said.get("dim", []) if isinstance(said, Mapping) else None
    if not isinstance(dims, list) or (isinstance(said, Mapping) and said.get("unknownRank")):
        raise TypeError(f"tensorShape is {said!r}: send the size of each dimension in dim")
    # proto3 leaves zeros out, and writes 64-bit integers as text.
    sizes = [_integer(dim.get("size", 0)) if isinstance(dim, Mapping) else -1 for dim in dims]
    if any(size < 0 for size in sizes):
        raise ValueError(f"tensorShape is {sizes}: send sizes of 0 or more")
    return sizes


def _value(value: object, code: str) -> object:
    if code == "":
        return base64.b64decode(str(value), validate=True).decode()
    if code == "?":
        if not isinstance(value, bool):
            raise TypeError(f"{value!r} is no boolean: send true or false")
        return value
    if code == "e":  # the bits of one
        try:
            return _json(struct.unpack("<e", struct.pack("<H", _integer(value)))[0])
        except struct.error:
            raise ValueError(f"{value!r} are not the bits of a half: send 16") from None
    if code not in _FRACTIONS:
        return _integer(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"{value!r} is no number: send one")
    try:
        return _json(float(value))
    except OverflowError:
        raise ValueError("a value is past the range of a double: send a smaller one") from None


def _integer(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not _WHOLE.fullmatch(str(value)):
        raise ValueError(f"{str(value)[:80]!r} is no 64-bit integer: send one")
    return int(str(value))


def _json(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return _NO_NUMBERS.get(value, "NaN")
    return value
