"""What came in and what it did: counters that only grow, each series from 0."""

from prometheus_client import CollectorRegistry, Counter

from closedloop import events
from closedloop.events import Event
from closedloop.metrics_server.state import Ignored
from closedloop.scoring import Outcome

_TYPES = {events.REQUEST: "request", events.RESPONSE: "response", events.FEEDBACK: "feedback"}
_INVALID = "invalid"
_OUTCOMES = {
    "request": (Ignored.IGNORED,),
    "response": (*Outcome, Ignored.IGNORED, _INVALID),
    "feedback": (*Outcome, Ignored.IGNORED, _INVALID),
}
_REASONS = (
    "missing_header", "bad_header", "bad_time", "unknown_type", "bad_json", "bad_payload",
    "bad_feedback", "not_a_class", "bad_encoding", "too_large",
)  # fmt: skip
_NOBODY = ("", "", "")


class Flow:
    """Events by predictor, type and outcome; invalid ones by reason as well."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "closedloop_events",
            "Events received, by what they did; those of unknown origin have empty names.",
            ["deployment_namespace", "deployment_name", "predictor_name", "type", "outcome"],
            registry=registry,
        )
        self._invalid = Counter(
            "closedloop_invalid_events",
            "Events refused, by reason.",
            ["reason"],
            registry=registry,
        )
        for reason in _REASONS:
            self._invalid.labels(reason)
        self._series: dict[tuple[str, str, str], dict[tuple[str, str], Counter]] = {}
        self._series[_NOBODY] = {
            (kind, _INVALID): self._events.labels(*_NOBODY, kind, _INVALID)
            for kind in (*_TYPES.values(), "unknown")
        }

    def count(self, event: Event, outcome: Outcome | Ignored) -> None:
        """An event that was understood."""
        self._of(event)[_TYPES[event.type], outcome].inc()

    def refuse(self, event_type: str, reason: str, event: Event | None = None) -> None:
        """An event that was refused, with its origin where its headers could be read."""
        series = self._series[_NOBODY] if event is None else self._of(event)
        series[_TYPES.get(event_type, "unknown"), _INVALID].inc()
        self._invalid.labels(reason).inc()

    def _of(self, event: Event) -> dict[tuple[str, str], Counter]:
        names = (event.namespace, event.deployment, event.predictor)
        series = self._series.get(names)
        if series is None:
            series = self._series[names] = {
                (kind, outcome): self._events.labels(*names, kind, outcome)
                for kind, outcomes in _OUTCOMES.items()
                for outcome in outcomes
            }
        return series
