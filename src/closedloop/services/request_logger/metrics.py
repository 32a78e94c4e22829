"""The request logger's own metrics; every series starts at 0."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from closedloop.loop.observation import REASONS
from closedloop.services.kit.incoming import TYPES
from closedloop.services.kit.labels import LABELS, OTHER, Names, PredictorLabels

# Why an event was kept as a dead letter.
INVALID = (*REASONS, "rejected", "undelivered")
# Why an event was not taken at all: the sender still has it.
REFUSED = ("not_an_event", "queue_full", "unavailable", "refused")

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The counts of the service; `depth` tells how many events are not yet answered."""

    def __init__(
        self, registry: CollectorRegistry, depth: Callable[[], int], most_predictors: int = 200
    ) -> None:
        self._labels = PredictorLabels(most_predictors)
        self._initialised: set[Names] = set()
        received = Counter(
            "closedloop_logger_events_received",
            "Events received; `undelivered` ones came from the broker as dead letters.",
            ["type"],
            registry=registry,
        )
        self._received = {name: received.labels(name) for name in (*TYPES, "undelivered")}
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
        self._letters = Counter(
            "closedloop_logger_dead_letters",
            "Events kept in the dead-letter index, by the predictor they claim and reason.",
            [*LABELS, "reason"],
            registry=registry,
        )
        self._reused = Counter(
            "closedloop_logger_request_ids_reused",
            "Requests whose id came with another request before; both are kept.",
            LABELS,
            registry=registry,
        )
        self.rejoined = Counter(
            "closedloop_logger_feedback_rejoined",
            "Pieces of feedback brought to the answer they are about after they were logged.",
            registry=registry,
        )
        self.rescored = Counter(
            "closedloop_logger_documents_rescored",
            "Documents scored again after their predictor's output was declared anew.",
            registry=registry,
        )
        self._start(OTHER)
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
        """Count an event received: one of `TYPES`, or `undelivered`."""
        self._received[kind].inc()

    def written(self, documents: int) -> None:
        self._written.inc(documents)

    def failed(self, reason: str) -> None:
        self._failed.labels(reason).inc()

    def dead_letter(self, names: Names, reason: str) -> None:
        """A dead letter written; `names` are the predictor it claims to be of."""
        self._letters.labels(*self._labels.claimed(names), reason).inc()

    def logged(self, names: Names) -> None:
        """An accepted event of this predictor: its series begin at 0."""
        self._start(self._labels.accepted(names))

    def reused(self, names: Names) -> None:
        self._reused.labels(*self._labels.accepted(names)).inc()

    def _start(self, names: Names) -> None:
        if names not in self._initialised:
            self._initialised.add(names)
            self._reused.labels(*names)
            for reason in INVALID:
                self._letters.labels(*names, reason)

    def acknowledged(self, seconds: float) -> None:
        self._seconds.observe(seconds)
