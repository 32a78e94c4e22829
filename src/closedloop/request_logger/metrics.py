"""The request logger's own metrics; every series starts at 0."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from closedloop import events

TYPES = {events.REQUEST: "request", events.RESPONSE: "response", events.FEEDBACK: "feedback"}

# Why an event was kept as a dead letter.
INVALID = (
    "missing_header", "bad_header", "bad_time", "unknown_type", "bad_json", "bad_payload",
    "bad_feedback", "not_a_class", "bad_encoding", "too_large", "rejected", "undelivered",
)  # fmt: skip
# Why an event was not taken at all: the sender still has it.
REFUSED = ("not_an_event", "queue_full", "unavailable", "refused")

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """What the service counts; `depth` tells how many events are not yet answered."""

    def __init__(self, registry: CollectorRegistry, depth: Callable[[], int]) -> None:
        received = Counter(
            "closedloop_logger_events_received",
            "Events received; `undelivered` ones came from the broker as dead letters.",
            ["type"],
            registry=registry,
        )
        self._received = {
            name: received.labels(name) for name in (*TYPES.values(), "unknown", "undelivered")
        }
        self._written = Counter(
            "closedloop_logger_documents_written",
            "Documents of the inference log created or replaced.",
            registry=registry,
        )
        failed = Counter(
            "closedloop_logger_events_failed",
            "Events not in the inference log, by reason: kept as dead letters, or refused.",
            ["reason"],
            registry=registry,
        )
        for reason in (*INVALID, *REFUSED):
            failed.labels(reason)
        self._failed = failed
        letters = Counter(
            "closedloop_logger_dead_letters",
            "Events kept in the dead-letter index, by reason.",
            ["reason"],
            registry=registry,
        )
        for reason in INVALID:
            letters.labels(reason)
        self._letters = letters
        self.conflicts = Counter(
            "closedloop_logger_conflicts",
            "Documents that another writer changed in between, read and merged again.",
            registry=registry,
        )
        Gauge(
            "closedloop_logger_queue_depth",
            "Events received and not yet answered.",
            registry=registry,
        ).set_function(depth)
        self._seconds = Histogram(
            "closedloop_logger_event_seconds",
            "From the receipt of an event to its acknowledgement.",
            buckets=_SECONDS,
            registry=registry,
        )

    def received(self, kind: str) -> None:
        """One of `TYPES`' values, `unknown` or `undelivered`."""
        self._received[kind].inc()

    def written(self, documents: int) -> None:
        self._written.inc(documents)

    def failed(self, reason: str) -> None:
        self._failed.labels(reason).inc()

    def dead_letter(self, reason: str) -> None:
        self._letters.labels(reason).inc()

    def acknowledged(self, seconds: float) -> None:
        self._seconds.observe(seconds)
