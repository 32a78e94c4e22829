"""The view model of the live page: plain data, the same for every browser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from closedloop.judging.decision import Verdict
from closedloop.live.controls import Controlled


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy of the last 30 s, with its interval: equally many times (s, epoch) and shares.

    `firing` are the spans in which the alert fired. `share`, `lower` and `upper`
    are the newest, None where there is none now; `sentence` says of how many
    truths they are, or why there is none. An alert fires below `threshold`, from
    so many truths on; both are None where nobody tells.
    """

    now: float = 0.0
    times: Sequence[float] = ()
    shares: Sequence[float] = ()
    lowers: Sequence[float] = ()
    uppers: Sequence[float] = ()
    firing: Sequence[tuple[float, float]] = ()
    share: float | None = None
    lower: float | None = None
    upper: float | None = None
    threshold: float | None = None
    threshold_pieces: float | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert: `state` is pending, firing, or delivered to the alert logger as well."""

    name: str
    model: str
    state: str
    since: float | None
    summary: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of a predictor: rows with an answer, and those among them that are judged."""

    predictor: str
    answered: int
    judged: int

    @property
    def share(self) -> float:
        return self.judged / self.answered


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models: its accuracy with the interval, None before the first truth.

    `alone` is on how many rows it was right and the other one was not.
    """

    predictor: str
    judged: int
    share: float | None
    lower: float
    upper: float
    alone: int


@dataclass(frozen=True, slots=True)
class Pair:
    """The two models. `position` is -1 where the evidence keeps the champion, 1 where it promotes.

    Between them it is the evidence's logarithm as a share of its threshold, and 0
    where the evidence favours neither. `odds` and `threshold` are "to 1";
    `needed` is about how many more judged rows it takes, None where nobody knows.
    """

    champion: Side
    challenger: Side
    position: float
    odds: float
    threshold: float
    verdict: Verdict
    needed: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Pieces of feedback that did not count, for one reason."""

    predictor: str
    count: int
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the page shows; a part that is not there is a sentence in its place.

    `boxes` are the states of the diagram's boxes, `rates` those of its arrows in
    events/s, None where unknown, and so are `refusals`.
    """

    state: str
    boxes: Mapping[str, str]
    rates: Mapping[str, float | None]
    curve: Curve
    alarms: Sequence[Alarm]
    coverage: Sequence[Coverage]
    pair: Pair | None
    missing: str
    refusals: Sequence[Refusal] | None
    controlled: Controlled
