"""A request logger and a metrics server that get the same bytes, and what they make of them."""

import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry

from closedloop.log.hourly import HourlyCounts
from closedloop.log.inference_log import InferenceLog
from closedloop.log.mapping import TEMPLATES
from closedloop.log.templates import IndexTemplates
from closedloop.loop import events
from closedloop.loop.keys import INDEX_PATTERN, OWNER
from closedloop.loop.sections import Document
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.metrics_server.collector import CountsCollector
from closedloop.services.metrics_server.from_log import FromLog
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.rejoin import Rejoin
from closedloop.services.request_logger.store import Store
from tests.services.metrics_server.running import MetricsServer, running_server
from tests.services.request_logger.running import Logger, running_logger

Key = tuple[Any, ...]
"""Owner, name of the count, and other labels."""

LABELS = ("deployment_namespace", "deployment_name", "predictor_name")
COUNTS = ("rows", "unscorable_rows", "correct", "incorrect", "confusion_matrix")
MEANS = {
    "mean_absolute_error": "absolute_error",
    "bias": "error",
    "brier_score": "brier",
    "log_loss": "log_loss",
    "mean_reward": "reward",
}

IRIS, PERF, CAPITAL = (
    ("ns", "iris", "perf-default"), ("ns", "iris-perf", "default"), ("ns", "Iris", "perf-default"),
)  # fmt: skip
"""Three owners whose indices have one name."""
DEFAULT, CANARY = ("ns", "iris", "default"), ("ns", "iris", "canary")
PRICE, TAGS, RISK, SHARES = (("ns", name, "default") for name in ("price", "tags", "risk", "x"))
DECLARED = """
ns/price/default: {kind: regression, tolerance: 0.5}
ns/tags/*: {kind: multilabel, classes: [red, round, soft]}
ns/risk/default: {kind: score, threshold: 0.5, classes: [good, bad], column: risk}
ns/x/default: {kind: probabilities, classes: [cat, dog, bird]}
ns/iris/canary: {kind: class, classes: [no, yes, 010], reward_threshold: 0.25}
"""


@dataclass(frozen=True)
class Sent:
    """A request to post: headers as they are, and a body."""

    headers: Mapping[str, str]
    body: bytes


class Counting:
    """A metrics server's second source: counts that Elasticsearch adds up, from look to look."""

    def __init__(self, client: AsyncElasticsearch, folder: str) -> None:
        self.registry = CollectorRegistry()
        self._client = client
        self._source = FromLog(
            HourlyCounts(InferenceLog(client)),
            self.registry,
            declared=DeclaredOutputs(folder, CollectorRegistry()),
            every=3600,
            all_every=3600,
        )
        self.registry.register(CountsCollector(self._source))

    async def look(self, *, everything: bool = False) -> None:
        await self._client.indices.refresh(index="*")
        await self._source.look(everything=everything)


@dataclass
class Place:
    """Both services over one search server."""

    url: str
    folder: str
    logger: Logger
    server: MetricsServer
    counting: Counting

    async def send(self, sent: Sent) -> tuple[str, str]:
        """The answer of logger and metrics server: a status, or why it is refused."""
        return await _said(self.logger, _failed, sent), await _said(self.server, _refused, sent)

    async def settle(self) -> None:
        """Bring feedback to its answers, as the logger does from time to time."""
        registry = CollectorRegistry()
        declared = DeclaredOutputs(self.folder, registry)
        async with AsyncElasticsearch(self.url) as client:
            await client.indices.refresh(index="*")
            store = Store(client, IndexTemplates(client, TEMPLATES))
            await Rejoin(store, Metrics(registry, lambda: 0), declared.of, 0.0).look()
            await client.indices.refresh(index="*")

    async def restored(self) -> dict[Key, float]:
        """The counts of a new metrics server, from the log alone."""
        async with running_server(self.url, model_outputs=self.folder) as server:
            await server.until_ready()
            return counted(server.registry)

    async def all_agree(self) -> dict[Key, float]:
        """The counts of log, metrics server and a restored one, which must be the same."""
        await self.settle()
        ours = counted(self.server.registry)
        assert counted_in(await self.logged()) == ours
        assert await self.restored() == ours
        await self.counting.look()
        assert told(self.counting.registry) == told(self.server.registry)
        return ours

    async def logged(self) -> list[Document]:
        async with AsyncElasticsearch(self.url) as client:
            found = await client.search(index=INDEX_PATTERN, size=10_000)
        return [hit["_source"] for hit in found["hits"]["hits"]]


async def _said(
    service: Logger | MetricsServer,
    refused: Callable[[CollectorRegistry], Counter[str]],
    sent: Sent,
) -> str:
    before = refused(service.registry)
    async with service.client.post("/", headers=sent.headers, data=io.BytesIO(sent.body)) as answer:
        await answer.read()
    more = refused(service.registry) - before
    return ", ".join(more) if answer.status == 202 and more else str(answer.status)


def _failed(registry: CollectorRegistry) -> Counter[str]:
    return _by_reason(registry, "closedloop_logger_events_failed_total")


def _refused(registry: CollectorRegistry) -> Counter[str]:
    return _by_reason(registry, "closedloop_refused_events_total")


def _by_reason(registry: CollectorRegistry, name: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == name and sample.labels["reason"] != "not_an_event":
                counts[sample.labels["reason"]] += int(sample.value)
    return counts


def counted(registry: CollectorRegistry) -> dict[Key, float]:
    """The samples of a metrics server that the log can be asked for as well, but for zeros."""
    found: dict[Key, float] = {}
    for family in registry.collect():
        name = family.name.removeprefix("closedloop_")
        for sample in family.samples:
            if name in COUNTS and sample.value:
                owner = tuple(sample.labels.pop(label) for label in LABELS)
                found[owner, name, *sorted(sample.labels.items())] = sample.value
            elif name in MEANS:
                owner = tuple(sample.labels[label] for label in LABELS)
                found[owner, name] = round(sample.value, 9)
    return found


def told(registry: CollectorRegistry) -> dict[Key, float]:
    """Every sample about the state of a metrics server, whatever its source, but for zeros and for
    the rows held; digits of sums are left out that depend on the order of adding."""
    (collector,) = (one for one in registry._collector_to_names if isinstance(one, CountsCollector))
    return {
        (sample.name, *sorted(sample.labels.items())): value
        for family in collector.collect()
        if family.name != "closedloop_rows_held"
        for sample in family.samples
        if (value := float(f"{round(sample.value, 9):.9g}"))
    }


def counted_in(documents: list[Document]) -> dict[Key, float]:
    """The same, from the scores in the log."""
    counts: Counter[Key] = Counter()
    sums: dict[Key, list[float]] = {}
    for document in documents:
        score = document.get("score")
        if not isinstance(score, dict):
            continue
        owner = tuple(document[field] for field in OWNER)
        counts[owner, "rows", ("state", score["state"])] += 1
        if "reason" in score:
            counts[owner, "unscorable_rows", ("reason", score["reason"])] += 1
        if "correct" in score:
            counts[owner, "correct" if score["correct"] else "incorrect"] += 1
        if "predicted" in score:
            cell = ("actual", score["actual"]), ("predicted", score["predicted"])
            counts[(owner, "confusion_matrix", *cell)] += 1
        for name, field in MEANS.items():
            if field in score:
                sums.setdefault((owner, name), []).append(score[field])
    means = {key: round(sum(values) / len(values), 9) for key, values in sums.items()}
    return {**counts, **means}


@asynccontextmanager
async def place(url: str, folder: str, together: int = 1, **settings: Any) -> AsyncIterator[Place]:
    """The services, with room for little unless `settings` say otherwise.

    The logger writes when so many events have come `together`.
    """
    batch = {"batch_events": together, "batch_milliseconds": 60_000 if together > 1 else 0}
    few: dict[str, Any] = {"max_event_bytes": 100_000, "max_predictors": 12}
    chosen = {**few, "model_outputs": folder, **settings}
    async with (
        running_logger(url, **batch, **chosen) as logger,
        running_server(url, **chosen) as server,
        AsyncElasticsearch(url) as client,
    ):
        await server.until_ready()
        yield Place(url, folder, logger, server, Counting(client, folder))


async def agree(url: str, folder: str, sent: list[Sent]) -> Counter[str]:
    """Send it all, and find that everybody says the same; how often each thing was said."""
    async with place(url, folder) as services:
        said: Counter[str] = Counter()
        for one in sent:
            logged, observed = await services.send(one)
            assert logged == observed, one
            assert not logged.startswith("5"), one
            said[logged] += 1
            if said.total() % 5 == 1:
                await services.counting.look()
        await services.all_agree()
    return said


def event(
    kind: str,
    message: object,
    *,
    owner: tuple[str, str, str] = DEFAULT,
    request_id: str = "P",
    time: str = "2026-01-31T12:00:00Z",
    event_id: str = "e",
    content_type: str = "application/json",
) -> Sent:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    made = events.Event(
        event_id, "http://:8000/", kind, time, request_id, *owner, "m", content_type, body
    )
    return Sent(made.headers(), body)


def changed(sent: Sent, **headers: str) -> Sent:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(sent, headers={**sent.headers, **named})
