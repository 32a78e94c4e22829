"""The complaints of a pydantic model as sentences: which field, which value, which remedy."""

import re
from collections.abc import Callable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_SHOULD = re.compile(r"^\w+ should")

Path = tuple[str | int, ...]


def first_fault(error: ValidationError, *where: str | int) -> str:
    """The first complaint; `where` is the path of the validated value, such as a file's field."""
    return faults(error, where)[0]


def short(value: object) -> str:
    """The value as Python writes it, in at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def faults(
    error: ValidationError,
    where: Path = (),
    *,
    show: Callable[[object], str] = short,
    unknown: str = "is unknown: remove it",
) -> list[str]:
    """All complaints, in the order of the fields.

    `show` writes a value for people; `unknown` is said of a field that the model does not have.
    """
    return [_sentence(detail, where, show, unknown) for detail in error.errors(include_url=False)]


def field_path(path: Sequence[str | int]) -> str:
    """A path as a person writes it: `spec.ports[0].name`, `metadata.labels["a/b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def _sentence(
    detail: ErrorDetails, where: Path, show: Callable[[object], str], unknown: str
) -> str:
    location = detail["loc"]
    if location and location[-1] == "[key]":  # a mapping's key, which is the value, too
        location = location[:-1]
    path = field_path((*where, *location)) or "the value"
    value = show(detail["input"])
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return f"{path} {unknown}"
        case "missing":
            return f"{path} is missing: add it"
        case "literal_error":
            return f"{path} is {value}: give {context['expected']}"
        case "value_error":
            return f"{path} is {value}: {context['error']}"
        case "too_long" if context["max_length"] == 0:
            return f"{path} {unknown}"
        case "too_long":
            most = context["max_length"]
            return f"{path} has {context['actual_length']} entries: give at most {most}"
        case "too_short":
            return f"{path} is empty: add an entry"
        case "string_pattern_mismatch":
            return f"{path} is {value}: it must match {context['pattern']}"
        case _:
            return f"{path} is {value}: {_SHOULD.sub('it must', detail['msg'], count=1)}"
