"""A running platform as its users see it, and what can be read of it from outside."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import requests
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from nats.errors import Error as NatsError
from prometheus_client.parser import text_string_to_metric_families

from closedloop.loop.events import PUID_HEADER
from closedloop.loop.keys import INDEX_PATTERN
from closedloop.notebook.traffic import Plan, Record, Traffic
from closedloop.notebook.waiting import until
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.client import EmbeddedPlatform
from tests.end_to_end.accepted import Score, Stream, scores
from tests.platforms.embedded.run.processes import descendants, listening

PATIENCE = 120.0
FLOWERS = [[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]]
METRICS_SERVER = "seldon-logs/seldon-metrics-server"
REQUEST_LOGGER = "seldon-logs/seldon-request-logger"

# What the command line of each process has in it.
PROGRAMS = {
    "nats": "nats-server",
    "broker": "closedloop.platforms.embedded.broker",
    "envoy": "/envoy",
    "prometheus": "/prometheus",
    "alertmanager": "/prometheus-alertmanager",
    "elasticsearch": "osmem-server",
    REQUEST_LOGGER: "closedloop.services.request_logger",
    METRICS_SERVER: "closedloop.services.metrics_server",
    "seldon-logs/alert-logger": "closedloop.services.alert_logger",
    "executor": "closedloop.platforms.embedded.executor",
    "model": "closedloop.models.serve",
}
_WHO = ("Ce-Inferenceservicename", "Ce-Endpoint")
_serial = count(1)


@dataclass
class Sending:
    """Traffic under way: its records so far, and the switch that ends it."""

    traffic: Traffic
    stop: threading.Event
    records: list[Record] = field(default_factory=list)

    def read(self) -> None:
        """Take the records as they come, until the traffic ends."""
        for record in self.traffic:
            self.records.append(record)  # not all at once: others look

    def answered(self, kind: str = "prediction") -> set[str]:
        """Request ids that got a good answer."""
        return {one.puid for one in [*self.records] if one.kind == kind and not one.failed}

    def wait_for(self, more: int) -> None:
        """Until `more` further predictions were answered."""
        target = len(self.answered()) + more
        until(
            lambda: len(self.answered()),
            lambda seen: seen >= target,
            what=f"{target} answers",
            timeout=PATIENCE,
            diagnose=lambda: str(self.traffic.tally),
        )


@contextmanager
def under_way(url: str, plan: Plan, threads: int) -> Iterator[Sending]:
    """Traffic to the model at a URL, until the block ends."""
    stop = threading.Event()
    traffic = Traffic(url, plan, threads=threads, until=stop.is_set, timeout=60)
    sending = Sending(traffic, stop)
    with traffic:
        reader = threading.Thread(target=sending.read)
        reader.start()
        try:
            yield sending
        finally:
            stop.set()
            reader.join()


class Loop:
    """The platform of this folder."""

    def __init__(self, platform: EmbeddedPlatform, home: Path) -> None:
        self.platform, self.home = platform, home
        self.gateway = platform.url("istio-system/istio-ingressgateway")
        self.search = Elasticsearch(platform.url("seldon-logs/elasticsearch"))
        self.stream = Stream(self._nats())
        self.broker = platform.url("knative-eventing/broker-ingress")

    @property
    def daemon(self) -> int:
        found = state.read(self.home / "platform")
        assert found
        return found.pid

    def prefix(self) -> str:
        """Begins the request ids of one test."""
        return f"e2e-{next(_serial):03}"

    def model(self, name: str = "sklearn") -> str:
        return f"{self.gateway}/seldon/seldon/{name}"

    def predict(self, puid: str, *rows: list[float], name: str = "sklearn") -> requests.Response:
        return self._post("predictions", puid, {"data": {"ndarray": rows or FLOWERS[:1]}}, name)

    def judge(self, puid: str, *truths: int | None, name: str = "sklearn") -> requests.Response:
        return self._post("feedback", puid, {"truth": {"data": {"ndarray": truths}}}, name)

    def _post(self, path: str, puid: str, body: object, name: str) -> requests.Response:
        answer = requests.post(
            f"{self.model(name)}/api/v1.0/{path}",
            json=body,
            headers={PUID_HEADER: puid},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer

    @contextmanager
    def traffic(
        self, prefix: str, name: str = "sklearn", *, threads: int = 2, rate: float = 30
    ) -> Iterator[Sending]:
        """Predictions with feedback, seven of ten right, until the block ends."""
        plan = Plan(
            FLOWERS,
            right=0.7,
            seconds=600,
            rate=rate,
            seed=len(prefix),
            puid=lambda i: f"{prefix}-{i}",
        )
        with under_way(self.model(name), plan, threads) as sending:
            yield sending

    def logged(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Documents whose request id begins so, as `<index>/<id>`."""
        self.search.indices.refresh(index=INDEX_PATTERN)
        query = {"query": {"prefix": {"RequestId": prefix}}}
        found = scan(self.search, index=INDEX_PATTERN, query=query, size=1000)
        return {f"{hit['_index']}/{hit['_id']}": hit["_source"] for hit in found}

    def scores_in_log(self) -> dict[str, Score]:
        """What Elasticsearch aggregates, by `deployment/predictor`."""
        self.search.indices.refresh(index=INDEX_PATTERN)
        who = [{one: {"terms": {"field": one}}} for one in _WHO]
        cells = [{one: {"terms": {"field": f"score.{one}"}}} for one in ("predicted", "actual")]
        found = self.search.search(
            index=INDEX_PATTERN,
            size=0,
            allow_no_indices=True,
            aggs={
                "right": {"filter": {"term": {"score.correct": True}}, "aggs": _composite(who)},
                "wrong": {"filter": {"term": {"score.correct": False}}, "aggs": _composite(who)},
                **_composite([*who, *cells], "cells"),
            },
        ).get("aggregations", {})
        result: dict[str, Score] = {}
        for kind in ("right", "wrong"):
            for bucket in found.get(kind, {}).get("each", {}).get("buckets", ()):
                score = result.setdefault(_who(bucket["key"]), Score())
                setattr(score, kind, bucket["doc_count"])
        for bucket in found.get("cells", {}).get("buckets", ()):
            key = bucket["key"]
            result[_who(key)].cells[key["predicted"], key["actual"]] = bucket["doc_count"]
        return result

    def scores_of_server(self) -> dict[str, Score]:
        """What the metrics server exposes, by `deployment/predictor`."""
        result: dict[str, Score] = {}
        for name, labels, value in self.samples(METRICS_SERVER):
            if "predictor_name" not in labels or not value:
                continue
            key = f"{labels['deployment_name']}/{labels['predictor_name']}"
            if name == "closedloop_correct":
                result.setdefault(key, Score()).right = int(value)
            elif name == "closedloop_incorrect":
                result.setdefault(key, Score()).wrong = int(value)
            elif name == "closedloop_confusion_matrix":
                cells = result.setdefault(key, Score()).cells
                cells[labels["predicted"], labels["actual"]] = int(value)
        return result

    def scores_of_model(self, predictor: str, name: str = "iris-perf") -> tuple[int, int]:
        """Correct and incorrect, as the model in the predictor exposes them."""
        begins = (
            f"{self.addresses(name, predictor)[-1]}:60"  # 6000, and one more for each container
        )
        (port,) = (one for one in listening(descendants(self.daemon)) if one.startswith(begins))
        seen = {sample: value for sample, _, value in _samples(f"http://{port}/prometheus")}
        return int(seen.get("correct", 0)), int(seen.get("incorrect", 0))

    def settle(self, patience: float = PATIENCE) -> dict[str, Score]:
        """The law of the whole loop: what the broker accepted, what the log has and what the
        metrics server counted are the same. Returns it once it holds and nothing is under way."""
        seen: dict[str, object] = {}

        def agree() -> bool:
            if busy := self.under_way():
                seen["busy"] = busy
                return False
            want = scores(self.stream.events())
            seen.clear()
            seen.update(accepted=want, log=self.scores_in_log(), server=self.scores_of_server())
            return want == seen["log"] == seen["server"]

        until(
            agree,
            what="the broker, the log and the metrics server to agree",
            timeout=patience,
            every=0.3,
            diagnose=lambda: "\n".join(f"{key}: {value}" for key, value in seen.items()),
        )
        return self.scores_of_server()

    def under_way(self) -> str:
        """Which part still has calls or events that were not dealt with, or the empty string.

        In the order in which they come by, so that none passes unseen: the copies for shadows,
        which no caller waits for, the executors, what the broker has to deliver.
        """
        try:
            parts = {
                "envoy": self._calls_at_envoy(),
                "executors": sum(
                    sum(self.executor_counts("queued", "sending", name=name).values())
                    for name in ("sklearn", "iris-perf")
                ),
                "broker": self.stream.undelivered(),
            }
        except (requests.RequestException, NatsError, OSError, ValueError) as error:
            return repr(error)
        return ", ".join(f"{name} {number}" for name, number in parts.items() if number)

    def _calls_at_envoy(self) -> int:
        """Calls and copies of calls to models that were not answered yet."""
        parameters = {"filter": r"^cluster\..*\.seldon_.*\.upstream_rq_active$", "format": "json"}
        addresses = listening({pid}) if (pid := self.pid("envoy")) else ()
        # Everything that it listens for others is at 127.0.0.1.
        (admin,) = (one for one in addresses if not one.startswith("127.0.0.1:"))
        url = f"http://{admin}/stats"
        stats = requests.get(url, params=parameters, timeout=60).json()["stats"]
        if not stats:
            raise ValueError("Envoy knows no model yet")
        return sum(int(one["value"]) for one in stats)

    def mismatches(self) -> list[float]:
        """Of every predictor, the cells that the metrics server itself found to differ."""
        return [
            value
            for name, _, value in self.samples(METRICS_SERVER)
            if name == "closedloop_replay_mismatch"
        ]

    def executor_counts(self, *outcomes: str, name: str = "sklearn") -> Counter[str]:
        """Events of one deployment's executors by what became of them, by type."""
        counts: Counter[str] = Counter()
        for predictor in ("default",) if name == "sklearn" else ("logistic", "perceptron"):
            url = self.platform.url(f"seldon/{name}-{predictor}", 8000) + "/prometheus"
            for sample, labels, value in _samples(url):
                outcome = sample.removeprefix("closedloop_executor_events_").removesuffix("_total")
                if outcome != sample and outcome in outcomes:
                    counts[labels.get("type", "")] += int(value)
        return counts

    def samples(self, service: str) -> list[tuple[str, dict[str, str], float]]:
        return _samples(f"{self.platform.url(service)}/metrics")

    def pid(self, part: str) -> int | None:
        """The process of a part, of a workload, or `executor deployment/predictor` and the like,
        of the newest pod where there are several."""
        program, _, whose = part.partition(" ")
        text = PROGRAMS[program]
        address = self.addresses(*whose.split("/"))[-1] if whose else ""
        for pid in sorted(descendants(self.daemon)):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if not any(word.endswith(text) for word in words[:3]) or os.getpgid(pid) != pid:
                    continue
                if not whose or any(one.startswith(f"{address}:") for one in listening({pid})):
                    return pid
            except (FileNotFoundError, ProcessLookupError):
                continue
        return None

    def kill(self, part: str) -> int:
        """SIGKILL to the process of a part, as nobody asked the platform to; returns its id."""
        pid = until(lambda: self.pid(part), what=f"a process of {part}", timeout=PATIENCE)
        assert pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def recovered(self, part: str, old: int) -> None:
        """Until a part that was process `old` runs again, and everything is ready."""
        until(
            lambda: self.pid(part),
            lambda pid: pid not in (None, old),
            what=f"{part} to run again",
            timeout=PATIENCE,
        )
        self.ready()

    def ready(self) -> None:
        until(
            lambda: [row for row in self.platform.status() if row.state != "ready"],
            lambda rows: not rows,
            what="everything to be ready",
            timeout=PATIENCE,
        )

    def addresses(self, name: str, predictor: str) -> list[str]:
        """The addresses of a predictor's pods, the newest last."""
        found = []
        for pod in self.platform.objects("Pod", "seldon"):
            labels, status = pod["metadata"]["labels"], pod["status"]  # type: ignore[index]  # plain JSON
            if labels.get("seldon-deployment-id") == name and labels.get("version") == predictor:
                found.append(str(status["podIP"]))  # type: ignore[index]  # plain JSON
        return found

    def _nats(self) -> str:
        """The URL of the broker's storage, which has no Service."""
        pod: Any = self.platform.get("Pod", "nats-0", "knative-eventing")
        (container,) = pod["spec"]["containers"]
        port = next(one["containerPort"] for one in container["ports"] if one["name"] == "client")
        return f"nats://{pod['status']['podIP']}:{port}"


def _who(key: dict[str, str]) -> str:
    return "/".join(key[one] for one in _WHO)


def _composite(sources: list[dict[str, Any]], name: str = "each") -> dict[str, Any]:
    return {name: {"composite": {"size": 1000, "sources": sources}}}


def _samples(url: str) -> list[tuple[str, dict[str, str], float]]:
    answer = requests.get(url, timeout=60)
    answer.raise_for_status()
    return [
        (sample.name, dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]
