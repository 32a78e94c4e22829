"""The broker's counts, for `/metrics` and `/-/status`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REFUSALS = ("bad_path", "malformed", "method", "store", "too_large", "ttl", "unknown_broker")


@dataclass(slots=True)
class TriggerCounts:
    """Of one trigger: events by their end, tries again, and events still to come.

    `pending` counts events that were not yet looked at, in flight or waiting
    for another try.
    """

    delivered: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    pending: int = 0


@dataclass(slots=True)
class Counts:
    """Everything counted since the process started; names are `namespace/name`."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(REFUSALS, 0)))
    triggers: dict[str, TriggerCounts] = field(default_factory=dict)


class CountsCollector(Collector):
    """The counts as Prometheus metrics."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        yield _counter("events_accepted", "Events stored.", "broker", counts.accepted)
        yield _counter("events_refused", "Requests refused.", "reason", counts.refused)
        for name, help_text in (
            ("delivered", "Events a subscriber took."),
            ("retried", "Tries that failed and were made again."),
            ("dead_lettered", "Events a dead-letter sink took."),
            ("dropped", "Events that neither subscriber nor dead-letter sink took."),
        ):
            values = {trigger: getattr(of, name) for trigger, of in counts.triggers.items()}
            yield _counter(f"events_{name}", help_text, "trigger", values)
        pending = GaugeMetricFamily(
            "closedloop_broker_events_pending",
            "Events not looked at yet, in flight or waiting for another try.",
            labels=["trigger"],
        )
        for trigger, of in counts.triggers.items():
            pending.add_metric([trigger], of.pending)
        yield pending


def _counter(name: str, help_text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"closedloop_broker_{name}", help_text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
