"""Feedback that waits under a request's own id, as it may be found to speak of other rows."""

from dataclasses import dataclass

from closedloop.loop.scoring.row import Feedback
from closedloop.loop.scoring.said import Said

# Past this many pieces about one request, those that newer ones replace go.
_MANY = 8


@dataclass(frozen=True, slots=True)
class Loose:
    """One piece; `feedback` is None where only its statement is known: it is no batch's."""

    feedback: Feedback | None
    actual: Said | None
    reward: float | None

    @property
    def entries(self) -> int:
        return 1 if self.feedback is None else self.feedback.entries


def together(one: Feedback, other: Feedback) -> Feedback:
    """One piece of feedback that came in parts: the truth that either has for a row."""
    if one.entries != other.entries:
        return one
    truths = tuple(
        there if here is None else here
        for here, there in zip(one.truths, other.truths, strict=False)
    )
    return one._replace(truths=truths)


def prune(loose: dict[str, Loose]) -> None:
    """Drop feedback that says nothing which newer feedback of as many entries does not say."""
    if len(loose) <= _MANY:
        return
    said: dict[int, set[int]] = {}
    for stamp in sorted(loose, reverse=True):
        feedback, entries = loose[stamp].feedback, loose[stamp].entries
        truths = feedback.truths if feedback is not None else ()
        rows = {i for i, truth in enumerate(truths) if truth is not None}
        if entries in said and rows <= said[entries]:
            del loose[stamp]
        else:
            said.setdefault(entries, set()).update(rows)
