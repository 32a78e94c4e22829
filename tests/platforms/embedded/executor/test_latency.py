from math import ceil, isnan

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from closedloop.platforms.embedded.executor.latency import BUCKETS, QUANTILES, Latency


def _exposed(*seconds: float, at: float = 0.0) -> CollectorRegistry:
    registry = CollectorRegistry()
    times = iter([0.0] * len(seconds))
    latency = Latency("x_seconds", "x", ("code",), clock=lambda: next(times, at))
    registry.register(latency)
    for value in seconds:
        latency.observe(("200",), value)
    return registry


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    value = registry.get_sample_value(name, {"code": "200", **labels})
    assert value is not None
    return value


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50))
def test_buckets_count_what_does_not_exceed_them(seconds: list[float]) -> None:
    registry = _exposed(*seconds)
    for bound in BUCKETS[:-1]:
        expected = sum(value <= bound for value in seconds)
        assert _value(registry, "x_seconds_bucket", le=f"{bound:g}") == expected
    assert _value(registry, "x_seconds_count") == len(seconds)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50))
def test_a_quantile_is_an_observed_value_of_the_right_rank(seconds: list[float]) -> None:
    registry = _exposed(*seconds)
    for quantile in QUANTILES:
        value = _value(registry, "x_seconds_summary", quantile=f"{quantile:g}")
        assert sum(other <= value for other in seconds) >= ceil(quantile * len(seconds))
        assert value in seconds


def test_quantiles_forget_after_ten_minutes_and_counts_do_not() -> None:
    registry = _exposed(1.0, 2.0, at=601.0)
    assert isnan(_value(registry, "x_seconds_summary", quantile="0.5"))
    assert _value(registry, "x_seconds_summary_count") == 2


def test_the_text_is_what_go_writes() -> None:
    text = generate_latest(_exposed(0.5)).decode()
    assert "# TYPE x_seconds histogram" in text
    assert "# TYPE x_seconds_summary summary" in text
    assert 'x_seconds_bucket{code="200",le="1"} 1.0' in text
    assert 'x_seconds_bucket{code="200",le="+Inf"} 1.0' in text
    assert 'x_seconds_summary{code="200",quantile="1"} 0.5' in text
    assert "_created" not in text
