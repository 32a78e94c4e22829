"""The memory of a scoreboard: mappings for its rows, room for them, one object for equal values."""

from collections.abc import Hashable, MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from closedloop.loop.scoring.loose import Loose
from closedloop.loop.scoring.row import Row

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


@dataclass(slots=True)
class Held:
    """The rows of one predictor and what is known of its requests: mappings of any kind.

    `rows` are by document id. `batches` has the sizes of a request's answers of many rows, `loose`
    feedback, by stamp, that may be found to speak of other rows than it is held under. A value
    that was changed is assigned again.
    """

    rows: MutableMapping[str, Row] = field(default_factory=dict)
    batches: MutableMapping[str, frozenset[int]] = field(default_factory=dict)
    loose: MutableMapping[str, dict[str, Loose]] = field(default_factory=dict)


class Shared:
    """Values of which equal ones are held once: there are few classes and many rows."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Hashable] = {}

    def one(self, value: _T) -> _T:
        """The first of the values that equal this one, or this one."""
        if len(self._values) < _MOST_SHARED:
            return cast(_T, self._values.setdefault(value, value))
        return cast(_T, self._values.get(value, value))
