"""The plan of traffic: which row is sent when, and the feedback about its answer.

Nothing here sends anything. The same seed plans the same traffic, except for
the request ids, which must not come twice.
"""

import random
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal
from uuid import uuid4

from closedloop.loop.events import InvalidEvent
from closedloop.loop.payload import rows_of
from closedloop.loop.scoring.said import greatest, is_number, single

Message = Mapping[str, object]
Form = Literal["truth", "one-hot", "reward"]


@dataclass(frozen=True, slots=True)
class Stated:
    """The class that an answer states: by index, by name, or by both."""

    index: int | None
    name: str | None


Right = float | Callable[[float], float] | Sequence[bool | None]
"""How often the answer is right: a probability, one as a function of the progress of the
traffic from 0 to 1, or the outcomes themselves, request by request, None for no feedback."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One prediction to send, and its feedback.

    `due` is in seconds after the start. At most one of `label`, the row's true
    class, `right`, whether the answer shall turn out right, and `truth`, sent as
    it is, is not None; when all are, no feedback follows. `draw` in [0, 1) picks
    the class that was the right one where the answer shall turn out wrong.
    """

    index: int
    due: float
    progress: float
    puid: str
    row: Sequence[object]
    label: object = None
    right: bool | None = None
    draw: float = 0.0
    truth: object = None

    @property
    def judged(self) -> bool:
        """Whether feedback follows."""
        return any(said is not None for said in (self.label, self.right, self.truth))


class Plan:
    """Rows to send, in their order and from the start again when they run out: then they are
    traffic, and no further evidence of how good a model is.

    Ends after `n` requests or `seconds`, whichever comes first; one is
    required. `rate` is in requests/s; without it a request is due as soon as
    someone takes it. Feedback comes from `labels`, the true class of each row,
    from `truths` of any kind, of which nobody here knows whether they agree with
    the answer, or from `right`; `share` of the requests get some: exactly round(share * n)
    of them when `n` is given, chosen at random.

    Raises ValueError when the arguments contradict one another.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[object]],
        *,
        labels: Sequence[object] | None = None,
        right: Right | None = None,
        truths: Sequence[object] | None = None,
        share: float = 1.0,
        n: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        seed: int = 0,
        puid: Callable[[int], str] = lambda _: str(uuid4()),
    ) -> None:
        outcomes = None if right is None or callable(right) else right
        if isinstance(outcomes, Sequence):
            n = len(outcomes) if n is None else n
        _check(rows, labels, right, truths, share, n, seconds, rate)
        self._rows, self._labels, self._right, self._truths = rows, labels, right, truths
        self._share, self._n, self._seconds, self._rate = share, n, seconds, rate
        self._random = random.Random(seed)
        self._puid = puid
        self._indices = count()
        self._chosen = None if n is None else self._choose(n)

    def take(self, elapsed: float) -> Planned | None:
        """The next request, or None after the last; `elapsed` is in seconds since the start."""
        index = next(self._indices)
        due = elapsed if self._rate is None else index / self._rate
        if (self._n is not None and index >= self._n) or (
            self._seconds is not None and due >= self._seconds
        ):
            return None
        done = [
            part / whole
            for part, whole in ((index, self._n), (due, self._seconds))
            if whole is not None
        ]
        progress = max(done)
        # Drawn for every request, so that one without feedback moves no other.
        chance, luck, draw = (self._random.random() for _ in range(3))
        judged = index in self._chosen if self._chosen is not None else chance < self._share
        return Planned(
            index=index,
            due=due,
            progress=progress,
            puid=self._puid(index),
            row=self._rows[index % len(self._rows)],
            label=self._labels[index % len(self._labels)] if self._labels and judged else None,
            right=self._outcome(index, progress, luck) if judged else None,
            draw=draw,
            truth=self._truths[index % len(self._truths)] if self._truths and judged else None,
        )

    def _choose(self, n: int) -> set[int]:
        return set(self._random.sample(range(n), round(self._share * n)))

    def _outcome(self, index: int, progress: float, luck: float) -> bool | None:
        right = self._right
        if isinstance(right, Sequence):
            return right[index]
        if callable(right):
            return luck < right(progress)
        return None if right is None else luck < right


def request_body(row: Sequence[object], names: Sequence[str] = ()) -> dict[str, object]:
    """The SeldonMessage that asks for a prediction for one row."""
    return {"data": {"names": list(names), "ndarray": [list(row)]}}


def predicted(answer: Message) -> tuple[Stated, int | None]:
    """The class that an answer of one row states, and the number of classes where it shows.

    Raises InvalidEvent when it states none.
    """
    said = rows_of(dict(answer))
    row = single(said.rows[0] if said.rows else None)
    if isinstance(row, list) and row and all(is_number(score) for score in row):
        index = greatest(row)
        return Stated(index, said.names[index] if len(said.names) == len(row) else None), len(row)
    if isinstance(row, str) and row:
        return Stated(None, row), None
    if is_number(row) and row == int(row) >= 0:
        return Stated(int(row), None), None
    raise InvalidEvent(
        "not_a_class",
        f"the answer {reprlib.repr(row)} states no class: send the model feedback of your own",
    )


def truth_body(
    planned: Planned, request: Message, tags: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The feedback that tells the planned truth, whatever the answer was."""
    said: dict[str, object] = {"meta": {"tags": dict(tags)}} if tags else {}
    return {"request": dict(request), "truth": {**said, "data": {"ndarray": [[planned.truth]]}}}


def feedback_body(
    planned: Planned,
    request: Message,
    answer: Message,
    *,
    form: Form = "truth",
    tags: Mapping[str, object] | None = None,
) -> tuple[dict[str, object], bool]:
    """The feedback about an answer of one row, and whether it says that the answer is right.

    It carries the request and not the answer: feedback is mirrored to the
    shadow as it is, where the answer of the other model would pass for its own.

    Raises InvalidEvent when the answer states no class, ValueError for the form
    `one-hot` where the number of classes or the index of the class is unknown.
    """
    label, classes = predicted(answer)
    truth = planned.label
    if truth is None:
        truth = _value(label) if planned.right else _other(label, classes, planned.draw)
    answered = label.index if isinstance(truth, int) and label.index is not None else label.name
    right = truth == answered
    body: dict[str, object] = {"request": dict(request)}
    said: dict[str, object] = {"meta": {"tags": dict(tags)}} if tags else {}
    if form == "reward":
        body["reward"] = 1.0 if right else 0.0
    elif form == "one-hot":
        said["data"] = {"ndarray": [_one_hot(truth, classes)]}
    else:
        said["data"] = {"ndarray": [[truth]]}
    if said:
        body["truth"] = said
    return body, right


def _value(label: Stated) -> object:
    return label.name if label.index is None else label.index


def _other(label: Stated, classes: int | None, draw: float) -> object:
    """Another class than the answered one; any of them where their number is known."""
    if label.index is None:
        return f"not {label.name}"
    if classes is None:
        return label.index - 1 if label.index else 1
    return (label.index + 1 + int(draw * (classes - 1))) % classes


def _one_hot(truth: object, classes: int | None) -> list[int]:
    if not isinstance(truth, int) or classes is None or not 0 <= truth < classes:
        raise ValueError(
            f"the truth {truth!r} of {classes or 'an unknown number of'} classes cannot be one-hot:"
            " give labels as class indices and a model that answers with scores"
        )
    return [int(index == truth) for index in range(classes)]


def _check(
    rows: Sequence[object],
    labels: Sequence[object] | None,
    right: Right | None,
    truths: Sequence[object] | None,
    share: float,
    n: int | None,
    seconds: float | None,
    rate: float | None,
) -> None:
    if not rows:
        raise ValueError("rows is empty: give at least one row to send")
    for name, said in (("labels", labels), ("truths", truths)):
        if said is not None and len(said) != len(rows):
            raise ValueError(f"there are {len(said)} {name} for {len(rows)} rows: give one a row")
    sources = {"labels": labels, "right": right, "truths": truths}
    named = [name for name, said in sources.items() if said is not None]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(named)} are given: truth comes from one of them")
    if n is None and seconds is None:
        raise ValueError("neither n nor seconds is given: say when the traffic ends")
    for name, value in (("n", n), ("seconds", seconds), ("rate", rate)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} is {value}: give a positive number")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: give a number from 0 to 1")
    if isinstance(right, (int, float)) and not 0 <= right <= 1:
        raise ValueError(f"right is {right}: give a probability")
    if isinstance(right, Sequence) and n is not None and len(right) < n:
        raise ValueError(f"right has {len(right)} outcomes for {n} requests: give one a request")
