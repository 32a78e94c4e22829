"""The record of every single request, and the counts over these."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Record:
    """One request and its outcome.

    `started` is in seconds since the epoch, `latency` in seconds, `lag` how
    many seconds later than due it was sent. `status` is None when no answer
    came. `reason` is "" for a request that succeeded, else a few fixed words
    that can be counted, with the answer's first characters in `detail`.
    `answer` is the JSON object that came back; of a prediction `predicted` is
    the class it states; of feedback `right` is whether the truth agrees with it.
    """

    kind: Literal["prediction", "feedback"]
    index: int
    puid: str
    row: Sequence[object]
    progress: float
    started: float
    latency: float
    lag: float
    status: int | None
    reason: str = ""
    detail: str = ""
    answer: dict[str, object] | None = None
    predicted: str | None = None
    right: bool | None = None

    @property
    def failed(self) -> bool:
        return bool(self.reason)


@dataclass(slots=True)
class Tally:
    """Counts over records; `right` counts delivered feedback that agrees with its answer."""

    predictions: int = 0
    predictions_failed: int = 0
    feedback: int = 0
    feedback_failed: int = 0
    right: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        if record.kind == "prediction":
            self.predictions += 1
            self.predictions_failed += record.failed
        else:
            self.feedback += 1
            self.feedback_failed += record.failed
            self.right += bool(record.right) and not record.failed
        if record.failed:
            self.reasons[f"{record.kind}: {record.reason}"] += 1

    @property
    def failed(self) -> int:
        return self.predictions_failed + self.feedback_failed
