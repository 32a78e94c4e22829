"""Delays of truths, and the share of an hour's answers that are judged by now.

Both are folds over the rows: a row that changes is taken back and counted anew.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

DELAYS = (0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400)
"""Upper bounds of the histogram's buckets, in seconds; above the last is one more."""

_NANOSECONDS = 1_000_000_000
_HOUR = 3600 * _NANOSECONDS
_BOUNDS = [round(bound * _NANOSECONDS) for bound in DELAYS]


class Times:
    """Delays from answer to truth, and cohorts: the answers of an hour, by UTC clock."""

    def __init__(self) -> None:
        self._delays = [0] * (len(DELAYS) + 1)
        self._nanoseconds = 0
        self._cohorts: dict[tuple[int, bool], int] = {}
        self.touched: set[tuple[int, bool]] = set()  # cohorts that changed, for who writes them

    @classmethod
    def counted(
        cls, delays: Sequence[int], seconds: float, cohorts: Mapping[tuple[int, bool], int]
    ) -> "Times":
        """Counts that were added up elsewhere: truths by `DELAYS` (and above the last), all delays
        together, and rows by the hour of their answer since the epoch and whether judged."""
        times = cls()
        times._delays = [*delays]
        times._nanoseconds = round(seconds * _NANOSECONDS)
        times._cohorts.update(cohorts)
        return times

    def add(self, answered: str, judged: str, sign: int) -> None:
        """Count a row by its stamps, or take it back; a stamp of "" is of no feedback yet."""
        began = moment(answered)
        cohort = began // _HOUR, bool(judged)
        self.touched.add(cohort)
        if count := self._cohorts.get(cohort, 0) + sign:
            self._cohorts[cohort] = count
        else:
            del self._cohorts[cohort]
        if judged:
            # Truth that is older than its answer took no time.
            delay = max(0, moment(judged) - began)
            self._delays[bisect_left(_BOUNDS, delay)] += sign
            self._nanoseconds += sign * delay

    def delays(self) -> list[int]:
        """The number of truths that took at most each of `DELAYS`, and that of all."""
        return list(accumulate(self._delays))

    def cohort(self, hour: int, judged: bool) -> int:
        """The rows answered in one hour since the epoch, judged by now or not."""
        return self._cohorts.get((hour, judged), 0)

    def numbers(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """The delays as whole numbers; `load` takes them, and cohorts, back."""
        yield ("nanoseconds",), self._nanoseconds
        for bucket, count in enumerate(self._delays):
            yield ("delays", str(bucket)), count

    def load(self, name: tuple[str, ...], number: int) -> None:
        """Set one of `numbers`, or the cohort `("hour", hour, "0" or "1")`."""
        match name:
            case ("nanoseconds",):
                self._nanoseconds = number
            case ("delays", bucket):
                self._delays[int(bucket)] = number
            case ("hour", hour, judged):
                self._cohorts[int(hour), judged == "1"] = number
            case _:
                raise KeyError(name)

    @property
    def delay_seconds(self) -> float:
        """All delays together."""
        return self._nanoseconds / _NANOSECONDS

    def cohorts(self, now: float, hours: int) -> Iterator[tuple[int, int, int]]:
        """(age in hours, judged, not judged yet) of the hours until `now`, in seconds since
        the epoch."""
        latest = int(now) // 3600
        for age in range(hours):
            hour = latest - age
            yield age, self.cohort(hour, True), self.cohort(hour, False)


def moment(stamp: str) -> int:
    """Nanoseconds since the epoch of a stamp; a borrowed one begins with a hyphen."""
    return int(stamp[:21]) if stamp[0] != "-" else int(stamp[1:22])
