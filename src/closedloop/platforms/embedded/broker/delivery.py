"""Which events a trigger wants, how often and when one is tried again, and how it ends.

Semantics of Knative Eventing (`pkg/kncloudevents/retries.go`).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from closedloop.platforms.embedded.desired import Delivery

MAX_DELAY = 3600.0

# Of an answer's body, as much as makes 1024 characters of Base64.
_ERROR_DATA_BYTES = 768
_RETRIED = frozenset({404, 408, 409, 429})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended: the HTTP status and the beginning of the body.

    No answer at all has status 500 and says why in `body`, as Knative's filter
    reports it.
    """

    status: int
    body: bytes = b""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one event stands with one trigger.

    `failures` counts the tries that failed at the present destination: the
    dead-letter sink once `cause`, the subscriber's last answer, is set.
    """

    failures: int = 0
    cause: Outcome | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Try once more, `delay` seconds from now, with this progress."""

    progress: Progress
    delay: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more to do: the event was taken, is with the dead-letter sink, or is dropped."""

    how: Literal["delivered", "dead letter", "dropped"]


def matches(filters: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    """Whether an event with these attributes passes `filter.attributes` of a Trigger.

    Every named attribute must be there and equal the given value, case
    included; the empty string stands for any value that is not empty. No
    filter passes everything.
    """
    return all(
        attributes.get(name) == value if value else bool(attributes.get(name))
        for name, value in filters.items()
    )


def backoff(delivery: Delivery, retry: int) -> float:
    """Seconds to wait before retry number `retry`, counted from 0; an hour at most.

    Exponential: delay · 2^retry. Linear: delay · retry, the first at once.
    """
    if delivery.policy == "linear":
        return min(delivery.delay * retry, MAX_DELAY)
    return min(delivery.delay * 2.0 ** min(retry, 40), MAX_DELAY)


def is_retried(status: int) -> bool:
    """Whether a status is worth another try (Knative's `SelectiveRetry`)."""
    return status >= 500 or status in _RETRIED


def proceed(delivery: Delivery, progress: Progress, outcome: Outcome) -> TryAgain | Finished:
    """The next step after one try."""
    at_dead_letter = progress.cause is not None
    if outcome.succeeded:
        return Finished("dead letter" if at_dead_letter else "delivered")
    if is_retried(outcome.status) and progress.failures < delivery.retry:
        again = replace(progress, failures=progress.failures + 1)
        return TryAgain(again, backoff(delivery, progress.failures))
    if at_dead_letter or delivery.dead_letter is None:
        return Finished("dropped")
    return TryAgain(Progress(cause=outcome), 0.0)


def error_extensions(destination: str, cause: Outcome) -> dict[str, str]:
    """Extension attributes that tell a dead-letter sink the cause."""
    extensions = {"knativeerrordest": destination, "knativeerrorcode": str(cause.status)}
    if cause.body:
        data = base64.b64encode(cause.body[:_ERROR_DATA_BYTES])
        extensions["knativeerrordata"] = data.decode("ascii")
    return extensions
