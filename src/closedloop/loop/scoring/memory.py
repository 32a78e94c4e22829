"""Bounds on memory: room for rows, and one object for equal values."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

_T = TypeVar("_T", bound=Hashable)

# Where every answer is a text of its own, sharing would only cost.
_MOST_SHARED = 10_000


@dataclass(slots=True)
class Capacity:
    """Room for rows, in one scoreboard or shared by several."""

    limit: int
    held: int = 0

    @property
    def full(self) -> bool:
        return self.held >= self.limit


class Shared:
    """Values of which equal ones are held once: there are few classes and many rows."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Hashable] = {}

    def one(self, value: _T) -> _T:
        """The first of the values that equal this one, or this one."""
        if len(self._values) < _MOST_SHARED:
            return cast(_T, self._values.setdefault(value, value))
        return cast(_T, self._values.get(value, value))
