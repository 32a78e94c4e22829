from prometheus_client import CollectorRegistry

from closedloop.loop.scoring import Outcome
from closedloop.services.kit.labels import LABELS, OTHER
from closedloop.services.metrics_server.flow import Flow

PETS = ("seldon", "pets", "default")
CARS = ("seldon", "cars", "default")


class Counted:
    """A flow with room for one predictor, and what it counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.flow = Flow(self.registry, most_predictors=1)

    def __call__(self, name: str, names: tuple[str, str, str], **labels: str) -> float | None:
        whole = dict(zip(LABELS, names, strict=True)) | labels
        return self.registry.get_sample_value(f"closedloop_{name}_total", whole)


def test_every_series_of_a_predictor_starts_with_its_first_event() -> None:
    counted = Counted()
    counted.flow.count("response", PETS, Outcome.APPLIED)
    assert counted("events", PETS, type="response", outcome="applied") == 1
    for outcome in ("corrected", "superseded", "duplicate", "expired", "ignored"):
        assert counted("events", PETS, type="response", outcome=outcome) == 0
        assert counted("events", PETS, type="feedback", outcome=outcome) == 0
    assert counted("events", PETS, type="request", outcome="ignored") == 0
    assert counted("refused_events", PETS, type="feedback", reason="bad_json") == 0


def test_refused_events_are_counted_by_predictor_type_and_reason() -> None:
    counted = Counted()
    counted.flow.refuse("unknown", PETS, "unknown_type")
    counted.flow.count("response", PETS, Outcome.APPLIED)
    counted.flow.refuse("response", PETS, "bad_json")
    assert counted("refused_events", OTHER, type="unknown", reason="unknown_type") == 1
    assert counted("refused_events", PETS, type="response", reason="bad_json") == 1
    assert counted("refused_events", PETS, type="response", reason="too_large") == 0


def test_a_predictor_past_the_bound_has_no_series_of_its_own() -> None:
    counted = Counted()
    for names in (PETS, CARS, CARS):
        counted.flow.count("response", names, Outcome.APPLIED)
    counted.flow.refuse("response", CARS, "bad_json")
    assert counted("events", CARS, type="response", outcome="applied") is None
    assert counted("events", OTHER, type="response", outcome="applied") == 2
    assert counted("refused_events", OTHER, type="response", reason="bad_json") == 1
