"""Dashboards and rules ask for metrics that somebody exposes, or that a rule records."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from closedloop.loop.observation import observe
from closedloop.platforms.embedded.executor.server import client_latency, server_latency
from closedloop.services.metrics_server.app import create_app as create_metrics_server
from closedloop.services.metrics_server.collector import CountsCollector
from closedloop.services.metrics_server.settings import Settings as MetricsServerSettings
from closedloop.services.metrics_server.state import State
from closedloop.services.request_logger.app import create_app as create_request_logger
from closedloop.services.request_logger.settings import Settings as RequestLoggerSettings
from tests.manifests.repository import objects
from tests.services.metrics_server.running import Restored, answer

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}

_EXPOSED = re.compile(r"\b(?:closedloop|seldon)_\w+")
_RECORDED = re.compile(r"\b(?:model|closedloop):[\w:]+")

_LATENCIES = (client_latency, server_latency)


def rules() -> Iterator[Any]:
    for one in objects():
        document: Any = one.document
        if one.kind == "PrometheusRule":
            for group in document["spec"]["groups"]:
                yield from group["rules"]


def expressions() -> list[str]:
    """The PromQL of every rule and panel."""
    panels = [
        expression
        for one in objects()
        if one.source.startswith("manifests/dashboards/")
        for expression in re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', str(one.document["data"]))
    ]
    assert len(panels) > 20
    return panels + [rule["expr"] for rule in rules()]


def series(*metrics: Iterable[Metric]) -> set[str]:
    """Names as PromQL has them."""
    return {
        metric.name + suffix
        for several in metrics
        for metric in several
        for suffix in SUFFIXES.get(metric.type, ("",))
    }


def asked(pattern: re.Pattern[str]) -> set[str]:
    return {name for expression in expressions() for name in pattern.findall(expression)}


async def test_every_metric_asked_for_is_exposed() -> None:
    logger, server = CollectorRegistry(), CollectorRegistry()
    create_request_logger(RequestLoggerSettings(), logger)
    create_metrics_server(MetricsServerSettings(), server)
    state = State()
    state.observe(observe(answer("cat")))  # metrics are those of a predictor
    counts = CountsCollector(Restored(state))
    exposed = series(logger.collect(), server.collect(), counts.collect())
    # Seldon's executor, as the stand-in has them.
    exposed |= series(
        *(of(CollectorRegistry()).collect() for of in (client_latency, server_latency))
    )
    assert asked(_EXPOSED) <= exposed


def test_every_recorded_series_asked_for_is_recorded() -> None:
    assert asked(_RECORDED) <= {rule["record"] for rule in rules() if "record" in rule}
    assert asked(_RECORDED)
