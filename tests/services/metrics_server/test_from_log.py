import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, Elasticsearch, helpers
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from closedloop.log.hourly import HourlyCounts
from closedloop.log.inference_log import InferenceLog
from closedloop.loop import rfc3339
from closedloop.loop.keys import OWNER, Predictor, index_name
from closedloop.loop.sections import Document
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.metrics_server.from_log import FromLog
from tests.elasticsearch import running_elasticsearch
from tests.inference_log import empty, put_templates
from tests.services.metrics_server.running import answer, documents_of, running_server, truth

HOUR, DAY = 3600, 86_400
NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC).timestamp()
OWNERS = [Predictor("ns", "pets", "default"), Predictor("ns", "pets", "canary")]
SCORES: dict[str, Document] = {
    "right": {"state": "scored", "correct": True, "predicted": "cat", "actual": "cat"},
    "wrong": {"state": "scored", "correct": False, "predicted": "cat", "actual": "dog"},
    "waiting": {"state": "unlabelled"},
    "unmatched": {"state": "unmatched"},
    "odd": {"state": "unscorable", "reason": "truth_unreadable"},
    "labels": {
        "state": "scored", "correct": False,
        "predicted_labels": ["a", "b"], "actual_labels": ["b"],
    },
    "nothing": {
        "state": "scored", "correct": False, "predicted_labels": [], "actual_labels": ["b"],
    },
    "error": {"state": "scored", "error": 0.1, "absolute_error": 0.1, "squared_error": 0.01},
    "reward": {"state": "scored", "correct": True, "reward": 1.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def search_url() -> Iterator[str]:
    with running_elasticsearch() as url:
        yield url


@dataclass
class History:
    """A log to which things happen, and a metrics server's source that looks at it."""

    client: Elasticsearch
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    now: float = NOW

    def write(self, name: str, owner: Predictor, how: str, hour: float | None) -> None:
        """Write a document with such a score that was first written at `hour`."""
        document: Document = {
            **dict(zip(OWNER, owner, strict=True)),
            "RequestId": name,
            "score": SCORES[how],
            "logged_at": rfc3339.written(self.now),
        }
        if hour is not None:
            document["first_logged_at"] = rfc3339.written(hour)
        self.client.index(
            index=index_name(*owner), id=f"{owner.predictor}-{name}", document=document
        )

    def delete(self, name: str, owner: Predictor) -> None:
        self.client.delete(index=index_name(*owner), id=f"{owner.predictor}-{name}")

    def documents(self) -> list[Document]:
        return [hit["_source"] for hit in helpers.scan(self.client, index="_all")]

    def recount(self) -> dict[Predictor, Counter[object]]:
        """The documents counted one by one."""
        counts: dict[Predictor, Counter[object]] = {}
        for document in self.documents():
            owner = Predictor(*(str(document[each]) for each in OWNER))
            of_one = counts.setdefault(owner, Counter())
            score: Document = document["score"]  # type: ignore[assignment]
            of_one[score["state"]] += 1
            of_one["reason", score.get("reason")] += 1
            if "correct" in score:
                of_one["correct", score["correct"]] += 1
            if "predicted" in score:
                of_one["cell", score["predicted"], score["actual"]] += 1
            of_one["label rows"] += "predicted_labels" in score
            of_one["b"] += "b" in score.get("actual_labels", ())  # type: ignore[operator]
            of_one["errors"] += "error" in score
        return {owner: +of_one for owner, of_one in counts.items()}

    def told(self, source: FromLog) -> dict[Predictor, Counter[object]]:
        """The same, as the source has it."""
        counts = {}
        for owner, board in (source.counted() or {}).items():
            of_one: Counter[object] = Counter(board.states)
            of_one |= Counter({("reason", reason): n for reason, n in board.reasons.items()})
            unexplained = sum(board.states.values()) - board.reasons.total()
            of_one["reason", None] = unexplained
            of_one["correct", True], of_one["correct", False] = board.correct, board.incorrect
            of_one |= Counter({("cell", *cell): n for cell, n in board.matrix.counts().items()})
            of_one["label rows"] = board.labels.rows
            tp, _, fn, _ = board.labels.counts("b")
            of_one["b"] = tp + fn
            of_one["errors"] = board.sums["error"].count
            counts[owner] = +of_one
        return {owner: of_one for owner, of_one in counts.items() if of_one}


@st.composite
def _steps(draw: st.DrawFn) -> list[tuple[object, ...]]:
    """Writes and changes of a few documents, deletions, looks, and time that passes."""
    name, owner = st.sampled_from("pqrs"), st.sampled_from(OWNERS)
    write = st.tuples(st.just("write"), name, owner, st.sampled_from([*SCORES]))
    look = st.tuples(st.just("look"), st.sampled_from([120, HOUR, 3 * DAY, 70 * DAY]))
    delete = st.tuples(st.just("delete"), name, owner)
    return draw(st.lists(st.one_of(write, write, look, delete), min_size=8, max_size=30))


AGES = {"p": 0, "q": 30 * HOUR, "r": 100 * DAY, "s": None}


@settings(max_examples=settings().max_examples // 3)  # each is against a search server
@given(_steps())
def test_the_counts_follow_whatever_happens(
    search_url: str, steps: list[tuple[object, ...]]
) -> None:
    with Elasticsearch(search_url) as client:
        empty(client)
        put_templates(client)
        asyncio.run(_follow(search_url, History(client), steps))


async def _follow(url: str, history: History, steps: list[tuple[object, ...]]) -> None:
    there: dict[tuple[str, Predictor], tuple[str, float | None]] = {}
    async with AsyncElasticsearch(url) as client:
        source = looking(history, client)
        await source.look(everything=True)
        for what, *which in steps:
            match which:
                case [str(name), Predictor() as owner, str(how)]:
                    age = AGES[name]
                    _, hour = there.get(
                        (name, owner), ("", None if age is None else history.now - age)
                    )
                    there[name, owner] = how, hour
                    history.write(name, owner, how, hour)
                case [str(name), Predictor() as owner]:
                    # The logger deletes no others.
                    if there.get((name, owner), ("", None))[0] == "unmatched":
                        history.delete(name, owner)
                        del there[name, owner]
                case [int(seconds)]:
                    await source.look()
                    assert history.told(source) == history.recount(), what
                    history.now += seconds
        await source.look()
        assert history.told(source) == history.recount()


def looking(
    history: History, client: AsyncElasticsearch, log: InferenceLog | None = None
) -> FromLog:
    return FromLog(
        HourlyCounts(log or InferenceLog(client)),
        history.registry,
        declared=DeclaredOutputs("", CollectorRegistry()),
        every=3600,
        all_every=3600,
        now=lambda: history.now,
    )


async def test_only_what_changed_is_counted_again(search_url: str) -> None:
    with Elasticsearch(search_url) as client:
        empty(client)
        put_templates(client)
        history = History(client)
        for i in reversed(range(5)):
            history.now = NOW - i * 600
            history.write(f"old {i}", OWNERS[0], "waiting", NOW - i * DAY)
        async with AsyncElasticsearch(search_url) as asynchronous:
            source = looking(history, asynchronous)
            await source.look(everything=True)
            before = recounted(history)
            history.now += 600
            history.write("old 3", OWNERS[0], "right", NOW - 3 * DAY)
            await source.look()
            assert recounted(history) - before == 2  # and that of the last look, which overlaps
            assert (source.counted() or {})[OWNERS[0]].correct == 1

            # The logger deletes feedback that it brings to its answer, which is elsewhere.
            history.write("early", OWNERS[0], "unmatched", NOW - 3 * DAY)
            await source.look()
            history.now += 600
            history.write("new", OWNERS[0], "right", history.now)
            await source.look()
            history.now += 600
            history.delete("early", OWNERS[0])
            await source.look()
            assert history.told(source) == history.recount()

            # Documents that somebody deleted are missed by their number.
            history.now += 600
            for i in range(2):
                history.delete(f"old {i}", OWNERS[0])
            await source.look()
            assert history.told(source) == history.recount()


async def test_hours_are_counted_together(search_url: str) -> None:
    """However many of one length there are, up to a day of them: a search for each would take the
    server far longer."""
    with Elasticsearch(search_url) as client:
        empty(client)
        put_templates(client)
        history = History(client)
        for i in range(30):
            history.write(f"{i}", OWNERS[i % 2], ["right", "labels"][i % 3 == 0], NOW - i * HOUR)
        async with AsyncElasticsearch(search_url) as asynchronous:
            log = Asked(asynchronous)
            source = looking(history, asynchronous, log)
            await source.look(everything=True)
            assert history.told(source) == history.recount()

            asked = []
            for hours in (1, 1, 20):  # the first look counts what is before it as well
                history.now += 600
                for i in range(hours):
                    history.write(f"{i}", OWNERS[i % 2], "labels", NOW - i * HOUR)
                log.times = 0
                await source.look()
                asked.append(log.times)
                assert history.told(source) == history.recount()
            assert asked[1] == asked[2] < asked[0]


class Asked(InferenceLog):
    """Counts the searches."""

    times = 0

    async def aggregate(self, *asked: Any) -> Mapping[str, Any]:
        self.times += 1
        return await super().aggregate(*asked)


def recounted(history: History) -> float:
    return history.registry.get_sample_value("closedloop_spans_recounted_total") or 0.0


async def test_tells_the_series_of_a_server_that_holds_rows(search_url: str) -> None:
    """Delays and cohorts among them: of now, so that there are some."""
    now = datetime.now(UTC)
    second = int(now.timestamp() - START)
    happened = [
        answer([0.9, 0.1, 0.0], request_id="a", second=second - 7000),
        truth(0, request_id="a", second=second - 6990),
        answer([0.9, 0.1, 0.0], request_id="b", second=second - 60),
        answer([0.1, 0.9, 0.0], request_id="c", second=second - 60),
        truth(0, request_id="c", second=second - 59),
    ]
    with Elasticsearch(search_url) as client:
        empty(client)
        put_templates(client)
        for (index, name), document in documents_of(happened).items():
            client.index(index=index, id=name, document=document)
    async with (
        running_server(search_url) as rows,
        running_server(search_url, source="log") as log,
    ):
        for server in (rows, log):
            await server.until_ready()
        told, counted = (samples(server.registry) for server in (rows, log))
        differing = {series for series, value in told.items() if counted.get(series) != value}
        # It has no rows to hold, to restore or to retire, and no store.
        of_rows = {"rows_held", "rows_retired", "restore_documents", "store_writable"}
        assert {name for name, *_ in differing} == of_rows
        assert sum(value for (name, *_), value in told.items() if name == "cohort_rows") == 3
        delays = {dict(of)["le"]: n for (name, *of), n in told.items() if name == DELAYS}
        assert (delays["0.1"], delays["1.0"], delays["10.0"]) == (0, 1, 2)

        # It counts what the logger kept: an event sent to it changes nothing.
        assert await log.send(happened[0]) == [202]
        assert samples(log.registry)["events_total", *LABELS[:2], IGNORED, LABELS[2], RESPONSE] == 1


START = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
LABELS = (
    ("deployment_name", "pets"), ("deployment_namespace", "seldon"), ("predictor_name", "default"),
)  # fmt: skip
DELAYS = "feedback_delay_seconds_bucket"
IGNORED, RESPONSE = ("outcome", "ignored"), ("type", "response")


def samples(registry: CollectorRegistry) -> dict[tuple[Any, ...], float]:
    """The gauges and counters of the state; moments of the process itself are left out."""
    return {
        (sample.name.removeprefix("closedloop_"), *sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        if family.name.startswith("closedloop_") and "lag" not in family.name
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
