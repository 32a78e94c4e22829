"""Events by type and effect: counters that only grow, each series from 0."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from closedloop.loop.observation import REASONS
from closedloop.loop.scoring import Outcome
from closedloop.services.kit.incoming import TYPES
from closedloop.services.kit.labels import LABELS, OTHER, Names, PredictorLabels
from closedloop.services.metrics_server.source import Ignored

_EFFECTS = (*(one for one in Outcome if one is not Outcome.OVER_LIMIT), *Ignored)
_OUTCOMES = {"request": (Ignored.IGNORED,), "response": _EFFECTS, "feedback": _EFFECTS}
_Series = dict[Names, dict[tuple[str, str], int]]


class Flow(Collector):
    """Events by predictor, type and outcome; refused ones by reason.

    Numbers of its own, as a client library's counter takes several times as long to grow.
    """

    def __init__(self, registry: CollectorRegistry, most_predictors: int) -> None:
        self._labels = PredictorLabels(most_predictors)
        self._events: _Series = {}
        self._refused: _Series = {}
        self._know(OTHER)
        registry.register(self)

    def count(self, kind: str, names: Names, outcome: Outcome | Ignored) -> None:
        """An event that was accepted; `kind` is one of `incoming.TYPES`."""
        counts = self._events.get(names)
        if counts is None:
            names = self._labels.accepted(names)
            if names not in self._events:
                self._know(names)
            counts = self._events[names]
        counts[kind, outcome] += 1

    def refuse(self, kind: str, names: Names, reason: str) -> None:
        """An event that was refused."""
        refused = self._refused[self._labels.claimed(names)]
        refused[kind, reason] = refused.get((kind, reason), 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Every series, of each predictor at one moment."""
        for names in [*self._events]:
            yield from (
                _family(
                    "closedloop_events",
                    "Events accepted, by their effect.",
                    "outcome",
                    names,
                    self._events[names],
                ),
                _family(
                    "closedloop_refused_events",
                    "Events refused, by the predictor they claim to be of and the reason.",
                    "reason",
                    names,
                    self._refused[names],
                ),
            )

    def _know(self, names: Names) -> None:
        self._events[names] = {
            (kind, outcome): 0 for kind, outcomes in _OUTCOMES.items() for outcome in outcomes
        }
        kinds = TYPES if names == OTHER else TYPES[:-1]
        self._refused[names] = {(kind, reason): 0 for kind in kinds for reason in REASONS}


def _family(
    name: str, documentation: str, label: str, names: Names, counts: Mapping[tuple[str, str], int]
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=[*LABELS, "type", label])
    for key, count in counts.items():
        family.add_metric((*names, *key), count)
    return family
