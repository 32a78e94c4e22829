"""Each part of a cluster killed in the middle of traffic, and an account of every event.

Needs a platform that is up: a kind cluster of ours, or that of `$CLOSEDLOOP_CONTEXT`.
What may be lost is said here, part by part: an event that an executor could not hand
over, since it makes one attempt, and what lies in the memory of Knative's channel.
Nothing is counted twice, and nothing is lost that was not sent around the kill.
"""

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from prometheus_client.parser import text_string_to_metric_families

from closedloop.notebook.traffic import Plan, Record, Traffic
from closedloop.notebook.waiting import until
from closedloop.platforms import connect
from closedloop.platforms.cluster.platform import ClusterPlatform

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.chaos,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
    ),
]

FLOWERS = [[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]]
INDEX = "inference-log-seldon-seldon-sklearn-default"
MODEL = ("SeldonDeployment", "sklearn", "seldon")
RATE = 8.0
QUIET = 5.0  # seconds of traffic before the kill and after everything is ready again
AROUND = 10.0  # seconds: an event may be under way so long before its part is killed
PATIENCE = 300.0
_KINDS = ("request", "response", "feedback")


@dataclass(frozen=True)
class Part:
    """What is killed, what is waited for afterwards, and what it may cost."""

    name: str
    namespace: str
    labels: str
    ready: tuple[str, str, str, str]
    loses: bool = False  # events of requests sent around the kill
    refuses: bool = False  # such requests themselves

    def __str__(self) -> str:
        return self.name


def _deployment(name: str, namespace: str, labels: str, *, loses: bool = False) -> Part:
    return Part(name, namespace, labels, ("Deployment", name, namespace, "Available"), loses)


_ROLE = "eventing.knative.dev/brokerRole"
PARTS = (
    _deployment("seldon-metrics-server", "seldon-logs", "app=seldon-metrics-server"),
    _deployment("seldon-request-logger", "seldon-logs", "app=seldon-request-logger"),
    _deployment("mt-broker-filter", "knative-eventing", f"{_ROLE}=filter"),
    _deployment("mt-broker-ingress", "knative-eventing", f"{_ROLE}=ingress", loses=True),
    _deployment(
        "imc-dispatcher", "knative-eventing", "messaging.knative.dev/role=dispatcher", loses=True
    ),
    Part(
        "elasticsearch",
        "seldon-logs",
        "app=elasticsearch",
        ("StatefulSet", "elasticsearch", "seldon-logs", "Ready"),
    ),
    Part(
        "the model",
        "seldon",
        "seldon-deployment-id=sklearn",
        (*MODEL, "Ready"),
        loses=True,
        refuses=True,
    ),
)


@dataclass
class Account:
    """What was sent, and what the log has of it."""

    answered: dict[str, Record] = field(default_factory=dict)
    judged: dict[str, Record] = field(default_factory=dict)
    failed: list[Record] = field(default_factory=list)
    killed: float = 0.0  # seconds since the epoch
    ready: float = 0.0
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        if record.failed:
            self.failed.append(record)
        else:
            {"prediction": self.answered, "feedback": self.judged}[record.kind][record.puid] = (
                record
            )

    def lost(self) -> dict[tuple[str, str], float]:
        """Events that the log has not: request id and kind, and when the request was sent."""
        sent = {"request": self.answered, "response": self.answered, "feedback": self.judged}
        return {
            (puid, kind): record.started
            for kind in _KINDS
            for puid, record in sent[kind].items()
            if kind not in self.documents.get(puid, {})
        }

    def doubled(self) -> list[str]:
        """Documents with more than one piece of feedback: each request was judged once."""
        return [puid for puid, one in self.documents.items() if one.get("feedback_history")]


class Cluster:
    """The platform, with what the accounts are made of."""

    def __init__(self, platform: ClusterPlatform) -> None:
        self.platform = platform

    def kill(self, part: Part) -> None:
        """Delete its pods without any grace, and wait until others are ready."""
        api = self.platform._api
        pods, _ = api.list("Pod", part.namespace, labels=part.labels)
        assert pods, f"there is no pod of {part}"
        old = {pod["metadata"]["uid"] for pod in pods}
        for pod in pods:
            api.delete("Pod", pod["metadata"]["name"], part.namespace, grace=0)

        def others() -> bool:
            found, _ = api.list("Pod", part.namespace, labels=part.labels)
            new = [pod for pod in found if _uid(pod) not in old]
            return bool(new) and all(_is_ready(pod) for pod in new)

        until(others, what=f"other pods of {part}", timeout=PATIENCE, every=1)
        kind, name, namespace, condition = part.ready
        self.platform.wait(kind, name, namespace, condition=condition, timeout=PATIENCE)

    def search(self) -> Elasticsearch:
        url = self.platform.url("seldon-logs/elasticsearch")
        return Elasticsearch(url, request_timeout=60)

    def documents(self, prefix: str) -> dict[str, dict[str, Any]]:
        with self.search() as search:
            search.indices.refresh(index=INDEX)
            query = {"query": {"prefix": {"RequestId": prefix}}}
            return {hit["_id"]: hit["_source"] for hit in scan(search, index=INDEX, query=query)}

    def in_log(self) -> tuple[int, int]:
        """Right and wrong answers in the log."""
        with self.search() as search:
            quiet = search.options(ignore_status=404)
            quiet.indices.refresh(index=INDEX)
            counts = [
                quiet.count(index=INDEX, query={"term": {"score.correct": right}})
                for right in (True, False)
            ]
        right, wrong = (int(count.get("count", 0)) for count in counts)
        return right, wrong

    def at_server(self) -> tuple[int, int]:
        """Right and wrong answers that the metrics server counts."""
        url = self.platform.url("seldon-logs/seldon-metrics-server")
        answer = requests.get(f"{url}/metrics", timeout=60)
        answer.raise_for_status()
        found = {
            sample.name: int(sample.value)
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.labels.get("deployment_name") == "sklearn"
            and sample.name in ("closedloop_correct", "closedloop_incorrect")
        }
        return found.get("closedloop_correct", 0), found.get("closedloop_incorrect", 0)

    def apart(self) -> tuple[int, int]:
        """By how much the metrics server counts more than the log has."""
        server, log = self.at_server(), self.in_log()
        return server[0] - log[0], server[1] - log[1]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    platform = connect("cluster")
    assert isinstance(platform, ClusterPlatform)
    if not platform.status():
        pytest.skip("nothing is installed: `closedloop up --platform cluster` first")
    platform.apply("request-logger", "metrics-server", "models/sklearn.yaml")
    for name in ("seldon-request-logger", "seldon-metrics-server"):
        platform.wait("Deployment", name, "seldon-logs", condition="Available", timeout=PATIENCE)
    kind, name, namespace = MODEL
    platform.wait(kind, name, namespace, timeout=PATIENCE)
    return Cluster(platform)


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_what_a_death_costs(
    cluster: Cluster, part: Part, record_property: Callable[[str, object], None]
) -> None:
    if part.name == "elasticsearch" and not _keeps_its_data(cluster):
        pytest.skip("Elasticsearch's data goes with its pod: there is no StorageClass")
    before = _settled(cluster)
    prefix = f"chaos-{uuid.uuid4().hex[:8]}"
    account = _kill_in_traffic(cluster, part, prefix)
    with suppress(TimeoutError):  # what is missing for good is said below
        until(
            lambda: _read(cluster, account, prefix),
            lambda lost: not lost,
            what="the log of everything that was sent",
            timeout=30 if part.loses else PATIENCE,
            every=2,
        )
    lost, failed = account.lost(), len(account.failed)
    said = {"sent": len(account.answered), "failed": failed, "events lost": len(lost)}
    for name, value in said.items():
        record_property(name, value)
    print(f"{part} killed: {said}")  # noqa: T201  # the figures are the point

    assert account.doubled() == []
    assert set(account.documents) <= account.answered.keys() | {r.puid for r in account.failed}
    assert part.refuses or not account.failed, account.failed[:3]
    assert part.loses or not lost, f"{part} must lose nothing: {sorted(lost)[:5]}"
    around = (account.killed - AROUND, account.ready + AROUND)
    assert all(around[0] <= started <= around[1] for started in lost.values()), (around, lost)
    assert _settled(cluster) in (before, (0, 0))


def _kill_in_traffic(cluster: Cluster, part: Part, prefix: str) -> Account:
    """Predictions with feedback, seven of ten right, while a part is killed and comes back."""
    account = Account()
    gateway = cluster.platform.url("istio-system/istio-ingressgateway")
    plan = Plan(
        FLOWERS, right=0.7, seconds=3 * PATIENCE, rate=RATE, seed=7, puid=lambda i: f"{prefix}-{i}"
    )
    url = f"{gateway}/seldon/seldon/sklearn"
    stopping = time.time() + 3 * PATIENCE

    def stop() -> bool:
        return time.time() > stopping

    with ThreadPoolExecutor(1) as pool, Traffic(url, plan, threads=4, until=stop) as traffic:
        reading = pool.submit(_all, traffic, account)
        until(lambda: len(account.answered) > QUIET * RATE, what="traffic", timeout=PATIENCE)
        account.killed = time.time()
        cluster.kill(part)
        account.ready = time.time()
        stopping = account.ready + QUIET
        reading.result()
    return account


def _all(traffic: Traffic, account: Account) -> None:
    for record in traffic:
        account.add(record)


def _read(cluster: Cluster, account: Account, prefix: str) -> dict[tuple[str, str], float]:
    account.documents = cluster.documents(prefix)
    return account.lost()


def _settled(cluster: Cluster) -> tuple[int, int]:
    """How far the metrics server and the log are apart once nothing is under way: (0, 0), unless
    an event was lost on its way to one of them."""
    with suppress(TimeoutError):
        until(cluster.apart, lambda apart: apart == (0, 0), what="agreement", timeout=60, every=3)
    return cluster.apart()


def _keeps_its_data(cluster: Cluster) -> bool:
    (one,) = (
        one
        for one in cluster.platform.objects("StatefulSet", "seldon-logs")
        if one["metadata"]["name"] == "elasticsearch"  # type: ignore[index]  # plain JSON
    )
    volumes: Any = one["spec"]["template"]["spec"]["volumes"]  # type: ignore[index]  # plain JSON
    return any("persistentVolumeClaim" in volume for volume in volumes)


def _is_ready(pod: Any) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _uid(pod: Any) -> str:
    return str(pod["metadata"]["uid"])
