from prometheus_client import CollectorRegistry

from closedloop import events
from closedloop.metrics_server.flow import Flow
from closedloop.scoring import Outcome
from tests.metrics_server.running import answer

NOBODY = {"deployment_namespace": "", "deployment_name": "", "predictor_name": ""}
PETS = {
    "deployment_namespace": "seldon", "deployment_name": "pets", "predictor_name": "default",
}  # fmt: skip


def test_every_series_of_a_predictor_starts_with_its_first_event() -> None:
    registry = CollectorRegistry()
    Flow(registry).count(answer("cat"), Outcome.APPLIED)

    def value(kind: str, outcome: str) -> float | None:
        labels = PETS | {"type": kind, "outcome": outcome}
        return registry.get_sample_value("closedloop_events_total", labels)

    assert value("response", "applied") == 1
    for outcome in ("corrected", "superseded", "duplicate", "over_limit", "ignored", "invalid"):
        assert value("response", outcome) == 0
        assert value("feedback", outcome) == 0
    assert value("request", "ignored") == 0


def test_refused_events_are_counted_by_origin_and_by_reason() -> None:
    registry = CollectorRegistry()
    flow = Flow(registry)
    flow.refuse("nonsense", "unknown_type")
    flow.refuse(events.RESPONSE, "bad_json", answer("cat"))
    for origin, kind in ((NOBODY, "unknown"), (PETS, "response")):
        labels = origin | {"type": kind, "outcome": "invalid"}
        assert registry.get_sample_value("closedloop_events_total", labels) == 1
    for reason, count in (("unknown_type", 1), ("bad_json", 1), ("too_large", 0)):
        labels = {"reason": reason}
        assert registry.get_sample_value("closedloop_invalid_events_total", labels) == count
