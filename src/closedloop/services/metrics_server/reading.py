"""The metrics of reading the log, the same for both sources of the counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from closedloop.loop.keys import Predictor
from closedloop.services.kit.labels import LABELS


class Reading:
    """Counters that only grow, each from 0, and the lag, which `lag` gives in seconds."""

    def __init__(self, registry: CollectorRegistry, lag: Callable[[], float]) -> None:
        Gauge(
            "closedloop_resync_lag_seconds",
            "Since the log was last read, which counts from it are as of, or since the start.",
            registry=registry,
        ).set_function(lag)
        self.healed = Counter(
            "closedloop_rows_healed",
            "Rows that the log knew more about than delivery had brought, after the start.",
            LABELS,
            registry=registry,
        )
        self.forgotten = Counter(
            "closedloop_rows_forgotten",
            "Rows dropped since two reads of the whole log proved their documents gone.",
            LABELS,
            registry=registry,
        )
        self.errors = Counter(
            "closedloop_resync_errors",
            "Reads of the log that failed.",
            registry=registry,
        )
        self.unreadable = Counter(
            "closedloop_unreadable_documents",
            "Documents read that are not of the log's shape; each read counts.",
            registry=registry,
        )

    def know(self, predictor: Predictor) -> None:
        """Have the series of a predictor."""
        self.healed.labels(*predictor)
        self.forgotten.labels(*predictor)
