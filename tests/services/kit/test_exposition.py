import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily

from closedloop.services.kit.exposition import exposition

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT, st.floats())
def test_the_page_is_that_of_the_client_library(label: str, other: str, number: float) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", 'a \\ b\n"c"', ["one", "another"], registry=registry)
    gauge.labels(label, other).set(number)
    gauge.labels(other, f"{label}.").set(1)
    Gauge("alone", "No labels.", registry=registry).set(number)
    Histogram("h", "Buckets.", ["one"], buckets=[1, 2.5], registry=registry).labels(label)
    Counter("c", "Grows.", ["one"], registry=registry).labels(label).inc()
    page = exposition(registry)
    assert "_created" not in page
    lines = generate_latest(registry).decode().split("\n")
    kept = [line for line in lines if not re.match(r"(# (HELP|TYPE) )?[ch]_created\b", line)]
    assert page == "\n".join(kept)


def test_a_counter_of_our_own_is_one_too() -> None:
    registry = CollectorRegistry()

    class Own:
        def collect(self) -> list[CounterMetricFamily]:
            family = CounterMetricFamily("own", "Grows.", labels=["one"])
            family.add_metric(["x"], 3)
            return [family]

    registry.register(Own())
    assert exposition(registry) == generate_latest(registry).decode()
