"""The broker's counts, for `/-/status`."""

from collections import Counter
from dataclasses import dataclass, field

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
