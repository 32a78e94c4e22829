"""Samples: one moment of the loop, as Prometheus, the log and the API server tell it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from elasticsearch import ApiError, Elasticsearch, TransportError

from closedloop.judging.comparison import Comparison, compare
from closedloop.judging.present import KIND, present_pair
from closedloop.judging.promotion import PromotionError, roles
from closedloop.live.models import NAMESPACE, PAIR
from closedloop.log.pages import NothingLoggedError
from closedloop.notebook.dashboards import Prometheus, QueryError, Series
from closedloop.platforms.parts import LOG, PROMETHEUS
from closedloop.platforms.protocol import Object, PartStatus, Platform, PlatformError
from closedloop.services.alert_logger.store import INDEX as ALERTS

WINDOW = 180.0
"""Seconds of history on the page."""

_MODEL = "deployment_name, predictor_name"
# Rates are events a second, over ten of them. A prediction's event is its answer.
QUERIES: Mapping[str, str] = {
    "calls": f"sum by ({_MODEL}, service)"
    ' (sum_over_time(model:requests:new{code="200"}[10s])) / 10',
    "logged": "sum(sum_over_time(closedloop:events_logged:new[10s])) / 10",
    "received": "sum(sum_over_time(model:events_received:new[10s])) / 10",
    "written": "sum(rate(closedloop_logger_documents_written_total[10s]))",
    "scraped": 'sum(sum_over_time(up{pod=~"seldon-metrics-server.*"}[10s])) / 10',
    "rows": f"max by ({_MODEL}, state) (last_over_time(closedloop_rows[5m]))",
    "servers": "closedloop:metrics_servers",  # there while one tells its state
    "threshold": "closedloop:accuracy:threshold",
    "threshold pieces": "closedloop:accuracy:threshold_pieces",
    "fewest pieces": "closedloop:accuracy:fewest_pieces",
    "scored": "model:feedback_scored:window30s",
    "not counted": "model:feedback_not_counted > 0",
    "alerts": "ALERTS",
    "since": "ALERTS_FOR_STATE",
}
_ASKED = " or ".join(
    f'label_replace({promql}, "told", "{name}", "", "")' for name, promql in QUERIES.items()
)
_HISTORY = (
    '{__name__=~"model:accuracy:window30s(:lower|:upper)?"}'
    ' or ALERTS{alertname="ModelAccuracyLow", alertstate="firing"}'
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The answers of Prometheus: `told` by the names of `QUERIES`, and the history of accuracy.

    `fault` is a sentence, and the rest empty, where it does not answer.
    """

    at: float = 0.0
    told: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    history: Sequence[Series] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Objects:
    """The state of parts and models, the comparison of the pair, and alerts that were delivered.

    `fault` says why there are no parts, `missing` why there is no comparison.
    """

    parts: Sequence[PartStatus] = ()
    deployments: Sequence[Object] = ()
    comparison: Comparison | None = None
    delivered: Sequence[Mapping[str, Any]] = ()
    fault: str = ""
    missing: str = ""

    @property
    def has_pair(self) -> bool:
        """Whether both models are there to be compared."""
        return any(cast(Any, each["metadata"])["name"] == PAIR for each in self.deployments)


def metrics(platform: Platform) -> Metrics:
    """Ask Prometheus for everything that the page shows of it."""
    now = time.time()
    try:
        prometheus = Prometheus(platform.url(PROMETHEUS), timeout=5)
        told: dict[str, list[Series]] = {name: [] for name in QUERIES}
        for series in prometheus.query(_ASKED):
            told[series.labels["told"]].append(series)
        return Metrics(now, told, prometheus.query_range(_HISTORY, WINDOW))
    except (PlatformError, QueryError) as error:
        return Metrics(now, {name: [] for name in QUERIES}, fault=str(error))


def objects(platform: Platform) -> Objects:
    """Ask the API server and the log; takes longer the more is logged."""
    try:
        parts, deployments = platform.status(), platform.objects(KIND, NAMESPACE)
    except PlatformError as error:
        return Objects(fault=str(error), missing=str(error))
    comparison, missing, delivered = None, "", list[Mapping[str, Any]]()
    try:
        with log(platform) as client:
            # No alert was delivered yet, or no log is there.
            with suppress(ApiError):
                delivered = _delivered(client)
            comparison = compared(platform, client)
    except NothingLoggedError:
        missing = "Nothing is logged of both models yet: start the traffic."
    except (PlatformError, PromotionError) as error:
        missing = str(error)
    return Objects(parts, deployments, comparison, delivered, missing=missing)


def compared(platform: Platform, client: Elasticsearch) -> Comparison:
    """Compare the pair as it serves now, over the rows of its present models.

    Raises PlatformError, PromotionError, NothingLoggedError, and errors of the client.
    """
    who = roles(platform.get(KIND, PAIR, NAMESPACE))
    period = present_pair(platform, NAMESPACE, PAIR).period
    return compare(client, NAMESPACE, PAIR, who.serving, who.shadow, period)


@contextmanager
def log(platform: Platform) -> Iterator[Elasticsearch]:
    """A client of the log. Raises PlatformError where there is none, or it does not answer."""
    try:
        with Elasticsearch(platform.url(LOG), request_timeout=30) as client:
            yield client
    except (ApiError, TransportError) as error:
        raise PlatformError(f"Elasticsearch does not answer: {error}") from None


def _delivered(client: Elasticsearch) -> list[Mapping[str, Any]]:
    """The newest alerts that reached their receiver, the newest first."""
    newest: list[Any] = [{"startsAt": "desc"}]
    found = client.search(index=ALERTS, size=20, sort=newest)
    return [hit["_source"] for hit in found["hits"]["hits"]]
