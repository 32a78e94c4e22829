"""Events by type and effect: counters that only grow, each series from 0."""

from prometheus_client import CollectorRegistry, Counter

from closedloop.loop.observation import REASONS
from closedloop.loop.scoring import Outcome
from closedloop.services.kit.incoming import TYPES
from closedloop.services.kit.labels import LABELS, OTHER, Names, PredictorLabels
from closedloop.services.metrics_server.source import Ignored

_EFFECTS = (*(one for one in Outcome if one is not Outcome.OVER_LIMIT), *Ignored)
_OUTCOMES = {"request": (Ignored.IGNORED,), "response": _EFFECTS, "feedback": _EFFECTS}


class Flow:
    """Events by predictor, type and outcome; refused ones by reason."""

    def __init__(self, registry: CollectorRegistry, most_predictors: int) -> None:
        self._labels = PredictorLabels(most_predictors)
        self._events = Counter(
            "closedloop_events",
            "Events accepted, by their effect.",
            [*LABELS, "type", "outcome"],
            registry=registry,
        )
        self._refused = Counter(
            "closedloop_refused_events",
            "Events refused, by the predictor they claim to be of and the reason.",
            [*LABELS, "type", "reason"],
            registry=registry,
        )
        self._series: dict[Names, dict[tuple[str, str], Counter]] = {}
        self._of(OTHER)

    def count(self, kind: str, names: Names, outcome: Outcome | Ignored) -> None:
        """An event that was accepted; `kind` is one of `incoming.TYPES`."""
        self._of(self._labels.accepted(names))[kind, outcome].inc()

    def refuse(self, kind: str, names: Names, reason: str) -> None:
        """An event that was refused."""
        self._refused.labels(*self._labels.claimed(names), kind, reason).inc()

    def _of(self, names: Names) -> dict[tuple[str, str], Counter]:
        series = self._series.get(names)
        if series is None:
            series = self._series[names] = {
                (kind, outcome): self._events.labels(*names, kind, outcome)
                for kind, outcomes in _OUTCOMES.items()
                for outcome in outcomes
            }
            for kind in TYPES if names == OTHER else TYPES[:-1]:
                for reason in REASONS:
                    self._refused.labels(*names, kind, reason)
        return series
