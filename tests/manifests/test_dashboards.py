"""Every query of every dashboard has data, in Prometheus itself, for a model of any kind.

The data are what our services expose after the events of these models, what the stand-in of
Seldon's executor exposes, and what models tell that keep score themselves.
"""

import asyncio
import itertools
import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from closedloop.loop import events, rfc3339
from closedloop.loop.events import Event
from closedloop.notebook.dashboards import Prometheus, QueryError, parse
from closedloop.notebook.waiting import until
from closedloop.platforms.embedded.executor.server import server_latency
from closedloop.services.metrics_server import held as held_state
from tests.manifests.repository import MANIFESTS
from tests.manifests.rule_tests import (
    Expected,
    Scraped,
    Values,
    held,
    objections,
    program,
    running_prometheus,
)
from tests.services.metrics_server.running import running_server
from tests.services.request_logger.running import running_logger

BOARDS: dict[str, Any] = {
    path.stem: json.loads(yaml.safe_load(path.read_text())["data"][f"{path.stem}.json"])
    for path in sorted((MANIFESTS / "dashboards").glob("*.yaml"))
}
EVERY = 5  # seconds between scrapes
# The events come in two lots. Feedback without an answer does not count after a minute.
LOTS, ASKED = (40, 130), 145
ROWS = 12  # of each batch, of which a lot has two with truths


@dataclass(frozen=True)
class Model:
    """A model: its declared output, an answer and its truth, and the measures that it has."""

    name: str
    output: Mapping[str, object]
    names: tuple[str, ...]
    answers: tuple[object, ...]
    truths: tuple[object, ...]
    has: frozenset[str]

    @property
    def variables(self) -> dict[str, str]:
        return {"namespace": "shop", "deployment": self.name, "predictor": "first"}


CLASSES = {"matrix", "classes"}
MODELS = (
    Model(
        "prices", {"kind": "regression", "tolerance": 10}, ("price",),
        ([100.0], [90.0]), (95.0, 120.0), frozenset({"errors"}),
    ),
    Model(
        "risk", {"kind": "score", "threshold": 0.5, "classes": ["good", "bad"]}, ("score",),
        ([0.2], [0.9]), ("good", "good"), frozenset(CLASSES),
    ),
    Model(
        "animals", {"kind": "probabilities", "classes": ["cat", "dog"]}, ("cat", "dog"),
        ([0.8, 0.2], [0.3, 0.7]), ("cat", "dog"), frozenset({*CLASSES, "probabilities"}),
    ),
    Model(
        "tags", {"kind": "multilabel", "classes": ["red", "blue"]}, ("red", "blue"),
        ([1, 0], [1, 1]), ([1, 0], [0, 1]), frozenset({"classes", "labels"}),
    ),
)  # fmt: skip
# Which queries ask for a measure that not every kind of output has.
MEASURES = {
    "errors": "absolute_error|squared_error|closedloop_bias|within_tolerance",
    "matrix": "confusion_matrix",
    "classes": r"closedloop_(macro_)?(precision|recall|specificity|f1)\b",
    "labels": "closedloop_micro_",
    "probabilities": "brier_score|log_loss",
}


def measure(expr: str) -> str | None:
    return next((name for name, some in MEASURES.items() if re.search(some, expr)), None)


def queries(model: Model) -> Iterator[tuple[str, bool]]:
    """Every query of every dashboard about a model, and whether the model has data for it."""
    for board in BOARDS.values():
        defined = [each["name"] for each in board["templating"]["list"]]
        values = {name: model.variables[name] for name in defined}
        for panel in parse(board, **values).panels:
            for target in panel.targets:
                asked = measure(target.expr)
                yield target.expr, asked is None or asked in model.has
        for each in board["templating"]["list"]:
            text = each["query"]["query"]
            for name, value in values.items():
                text = text.replace(f"${name}", value)
            parts = re.fullmatch(r"label_values\((\w+)(?:{(.*)})?, (\w+)\)", text)
            assert parts, text
            metric, chosen, label = parts.groups()
            # The model itself is among the values to choose from.
            inside = [*filter(None, [chosen]), f'{label}="{values[each["name"]]}"']
            yield f"count({metric}{{{','.join(inside)}}})", True


def sent(model: Model, lot: int) -> Iterator[Event]:
    """The events of a lot: answers three hours and some minutes ago, and their truths."""
    numbers = itertools.count()

    def event(kind: str, message: object, request_id: str, ago: timedelta) -> Event:
        return Event(
            id=f"{model.name}-{lot}-{next(numbers)}",
            source="http://:8000/",
            type=kind,
            time=rfc3339.written(datetime.now(UTC) - ago),
            request_id=f"{model.name}-{lot}-{request_id}",
            namespace="shop",
            deployment=model.name,
            predictor="first",
            model="model",
            content_type="application/json",
            body=json.dumps(message).encode(),
        )

    def batch(rows: object) -> dict[str, object]:
        return {"data": {"names": list(model.names), "ndarray": rows}}

    answer = batch([*model.answers * (ROWS // 2)])
    truth = {"truth": batch([*model.truths * (ROWS // 2)])}
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    for request_id, ago, delay in (("early", 3 * hour, hour / 2), ("late", 2 * minute, minute)):
        yield event(events.RESPONSE, answer, request_id, ago)
        yield event(events.FEEDBACK, truth, request_id, ago - delay)
    unknown = {"truth": batch(["?"] * ROWS)}
    yield event(events.FEEDBACK, truth, "no answer", minute)
    yield event(events.RESPONSE, answer, "no truth", minute)
    yield event(events.FEEDBACK, unknown, "no truth", minute)
    yield event(events.FEEDBACK, {}, "neither truth nor reward", minute)


@asynccontextmanager
async def world(
    url: str, outputs: Path
) -> AsyncIterator[tuple[dict[str, CollectorRegistry], Callable[[int], Awaitable[None]]]]:
    """The registries of two services and the executors, and a function by which a lot comes."""
    outputs.mkdir()
    for model in MODELS:
        declared = json.dumps({f"shop/{model.name}/first": model.output})
        (outputs / f"{model.name}.yaml").write_text(declared)
    executors = CollectorRegistry()
    calls = server_latency(executors)
    folder = {"model_outputs": str(outputs)}
    with patch.object(held_state, "QUIET_SECONDS", 0.1):
        async with (
            running_logger(url, **folder) as logger,
            running_server(url, resync_seconds=0.5, **folder) as server,
        ):

            def compared() -> bool:
                names = {"deployment_namespace": "shop", "predictor_name": "first"}
                last = {"deployment_name": MODELS[-1].name, **names}
                return server.sample("replay_mismatch", **last) == 0

            async def come(lot: int) -> None:
                for model in MODELS:
                    for event in sent(model, lot):
                        assert [await logger.send(event), *await server.send(event)] == [202, 202]
                        service = "feedback" if event.type == events.FEEDBACK else "predictions"
                        calls.labels(model.name, "first", "", service, "post", "200").observe(0.01)
                await server.until(compared)

            await server.until_ready()
            pods = {"logger": logger.registry, "server": server.registry, "executors": executors}
            yield pods, come


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(registry: CollectorRegistry) -> Samples:
    """What is exposed now, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def own(model: Model, counts: Values) -> Iterator[Scraped]:
    """The custom metrics of a model that keeps score itself, as Seldon's wrapper has them."""
    labels = {"deployment_name": model.name, "predictor_name": "first", "method": "feedback"}
    for name in ("correct", "incorrect"):
        yield Scraped(name, counts, {"namespace": "shop", **labels}, model.name)


async def lots(url: str, outputs: Path) -> list[dict[str, Samples]]:
    """What every pod exposes before the first lot, and after each."""
    seen = []
    async with world(url, outputs) as (pods, come):
        for lot in range(len(LOTS) + 1):
            seen.append({pod: samples(registry) for pod, registry in pods.items()})
            if lot < len(LOTS):
                await come(lot)
    return seen


def test_every_query_has_data_for_a_model_of_any_kind(url: str, tmp_path: Path) -> None:
    seen = asyncio.run(lots(url, tmp_path / "outputs"))
    lasts = [later - at for at, later in itertools.pairwise([0, *LOTS, ASKED + EVERY])]

    def held_as(values: Iterable[float | None]) -> Values:
        return held(*zip(lasts, values, strict=True), every=EVERY)

    series = []
    for pod in seen[0]:
        series.append(Scraped("up", held_as([1, 1, 1]), {}, pod))
        place = {"namespace": "shop" if pod == "executors" else "seldon-logs"}
        for name, labels in seen[-1][pod]:
            values = held_as(one[pod].get((name, labels)) for one in seen)
            series.append(Scraped(name, values, {**place, **dict(labels)}, pod))
    for model in MODELS:
        series += own(model, held_as([0, 2 * ROWS, 4 * ROWS]))
    expected = []
    for expr, some in itertools.chain.from_iterable(map(queries, MODELS)):
        number = f"({expr}) == ({expr})"  # a share of none, for one, is no number and no data
        has = Expected(f"count({number}) > bool 0", ASKED, 1)
        expected.append(has if some else Expected(number, ASKED, None))
    assert objections(tmp_path, EVERY, series, *expected) == ""


def answered(prometheus: Prometheus, expr: str) -> float | None:
    """The value of an expression; none as well while Prometheus is still starting."""
    try:
        return prometheus.scalar(expr)
    except QueryError:
        return None


@pytest.fixture
def _prometheus_is_there() -> None:
    program("prometheus")


@pytest.mark.nightly
@pytest.mark.usefixtures("_prometheus_is_there")
@pytest.mark.timeout(400)
async def test_every_query_has_data_in_a_prometheus_that_scrapes(url: str, tmp_path: Path) -> None:
    """The same as it happens, without the models' own metrics, which need models."""
    expected = [
        one
        for one in itertools.chain.from_iterable(map(queries, MODELS))
        if "model:own_" not in one[0]
    ]
    async with AsyncExitStack() as stack:
        pods, come = await stack.enter_async_context(world(url, tmp_path / "outputs"))
        targets = []
        for pod, registry in pods.items():
            exporter, _ = start_http_server(0, "127.0.0.1", registry)
            stack.callback(exporter.server_close)
            stack.callback(exporter.shutdown)
            labels = {"namespace": "shop" if pod == "executors" else "seldon-logs"}
            targets.append({"targets": [f"127.0.0.1:{exporter.server_port}"], "labels": labels})
        prometheus = Prometheus(stack.enter_context(running_prometheus(tmp_path, *targets)))

        async def wait(ask: Callable[[], object], expected: object, what: str) -> None:
            waiting = partial(until, ask, lambda found: found == expected, what=what, timeout=150)
            await asyncio.to_thread(waiting)

        def wrong() -> list[str]:
            """Queries with data where none are expected, and the other way round."""
            return [
                expr
                for expr, some in expected
                if some == all(math.isnan(one.value) for one in prometheus.query(expr))
            ]

        await wait(lambda: answered(prometheus, "sum(up)"), 3, "every pod is scraped")
        await come(0)
        unmatched = 'count(model:feedback_not_counted{outcome="unmatched"} > 0)'
        await wait(lambda: prometheus.scalar(unmatched), len(MODELS), "feedback waits in vain")
        await come(1)
        await wait(wrong, [], "every query has data")
