"""Delivery specs: how often and when to try again, and what becomes of an event in the end.

Semantics of Knative Eventing (`pkg/kncloudevents/retries.go`), with the
cluster default of `config-br-defaults` where neither Broker nor Trigger says
anything.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from closedloop.validation import first_fault

# Knative waits for an answer as long as the connection lives. A subscriber that
# hangs must not hold its place for ever.
DEFAULT_TIMEOUT = 60.0
MAX_DELAY = 3600.0

# Of an answer's body, as much as makes 1024 characters of Base64.
_ERROR_DATA_BYTES = 768
_RETRIED = frozenset({404, 408, 409, 429})


@dataclass(frozen=True, slots=True)
class Delivery:
    """What to do when a subscriber does not take an event. Times in seconds."""

    retry: int = 10
    policy: Literal["linear", "exponential"] = "exponential"
    delay: float = 0.2
    timeout: float = DEFAULT_TIMEOUT
    dead_letter: str | None = None


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
    """Extension attributes that tell a dead-letter sink what went wrong."""
    extensions = {"knativeerrordest": destination, "knativeerrorcode": str(cause.status)}
    if cause.body:
        data = base64.b64encode(cause.body[:_ERROR_DATA_BYTES])
        extensions["knativeerrordata"] = data.decode("ascii")
    return extensions


def parse(spec: Mapping[str, object]) -> Delivery:
    """Read `spec.delivery` of a Broker or Trigger; an empty one is the cluster's default.

    Within a spec, an absent `retry` is none and an absent backoff no delay.
    Raises ValueError with one sentence that names the field.
    """
    if not spec:
        return Delivery()
    try:
        fields = _Spec.model_validate(spec)
    except ValidationError as error:
        raise ValueError(first_fault(error, "delivery")) from None
    given = fields.backoff_policy is not None and fields.backoff_delay is not None
    return Delivery(
        retry=fields.retry,
        policy=fields.backoff_policy or "exponential",
        delay=fields.backoff_delay.total_seconds() if given and fields.backoff_delay else 0.0,
        timeout=fields.timeout.total_seconds() if fields.timeout else DEFAULT_TIMEOUT,
        dead_letter=fields.dead_letter_sink.uri if fields.dead_letter_sink else None,
    )


def check_url(url: str) -> str:
    """The URL, if it can be called. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give a URL such as http://127.0.0.1:8080/")
    return url


def _only_iso_8601(value: object) -> object:
    # pydantic also takes numbers and clock times, which a cluster refuses.
    if not isinstance(value, str) or not value.startswith("P"):
        raise ValueError("give an ISO 8601 duration such as PT0.5S")
    return value


_Duration = Annotated[timedelta, BeforeValidator(_only_iso_8601), Field(ge=timedelta(0))]


class _Sink(BaseModel):
    model_config = ConfigDict(extra="forbid")
    uri: Annotated[str, AfterValidator(check_url)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")
    retry: int = Field(0, ge=0, strict=True)
    backoff_policy: Literal["linear", "exponential"] | None = Field(None, alias="backoffPolicy")
    backoff_delay: _Duration | None = Field(None, alias="backoffDelay")
    timeout: _Duration | None = None
    dead_letter_sink: _Sink | None = Field(None, alias="deadLetterSink")
    format: Literal["binary"] | None = None
