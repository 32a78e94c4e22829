"""Sums of floating-point numbers that do not depend on the order in which they are added.

Every double is a whole number of 2⁻¹⁰⁷⁴, the smallest one, so a sum of such wholes is exact,
and taking a number back restores the sum before it.
"""

import math
import sys

_BITS = 1074
_UNIT = 1 << _BITS


class ExactSum:
    """The sum of the numbers added and not taken back, and how many they are.

    `units` is the sum as a whole number of the smallest double.
    """

    __slots__ = ("count", "units")

    def __init__(self) -> None:
        self.units = 0
        self.count = 0

    def add(self, number: float, sign: int = 1) -> None:
        """Add a finite number, or take it back when `sign` is -1."""
        numerator, denominator = number.as_integer_ratio()
        self.units += sign * (numerator << (_BITS + 1 - denominator.bit_length()))
        self.count += sign

    def merge(self, other: "ExactSum", sign: int = 1) -> None:
        """Add all numbers of another sum, or take them back when `sign` is -1."""
        self.units += sign * other.units
        self.count += sign * other.count

    @classmethod
    def of(cls, total: float, count: int) -> "ExactSum":
        """The sum of `count` numbers that were added up elsewhere; past the range of a double the
        end of that range."""
        made = cls()
        made.add(max(-sys.float_info.max, min(total, sys.float_info.max)))
        made.count = count
        return made

    @property
    def total(self) -> float:
        """Infinity where it is past the range of a double."""
        try:
            return self.units / _UNIT
        except OverflowError:
            return math.inf if self.units > 0 else -math.inf

    @property
    def mean(self) -> float | None:
        return self.units / (_UNIT * self.count) if self.count else None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ExactSum) and self.units == other.units and self.count == other.count
        )

    __hash__ = None  # type: ignore[assignment]  # mutable
