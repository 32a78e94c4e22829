import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry

from closedloop.services.alert_logger.app import Settings, create_app
from closedloop.services.alert_logger.store import INDEX
from tests.elasticsearch import SearchServer, search_server
from tests.services.serving import serving


@pytest.fixture(scope="module")
def server() -> Iterator[SearchServer]:
    with search_server() as running:
        yield running


@pytest.fixture
def fingerprint() -> str:
    """An alert of the test's own."""
    return uuid.uuid4().hex[:16]


@asynccontextmanager
async def running(url: str, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    app = create_app(Settings(elasticsearch_url=url, **settings), CollectorRegistry())
    async with (
        serving(app) as (_, port),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield client


def notification(*alerts: object) -> dict[str, object]:
    return {"version": "4", "status": "firing", "receiver": "alert-logger", "alerts": [*alerts]}


def alert(status: str, fingerprint: str) -> dict[str, object]:
    return {
        "status": status,
        "fingerprint": fingerprint,
        "startsAt": "2026-11-23T18:00:00.123Z",
        "endsAt": "2026-11-23T18:05:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "labels": {"alertname": "ModelAccuracyLow", "severity": "warning"},
        "annotations": {"summary": "41 % of the last 30 s"},
        "generatorURL": "http://prometheus/graph",
    }


async def post(client: aiohttp.ClientSession, body: object, **headers: str) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post("/alerts", data=data, headers=headers) as answer:
        return answer.status, await answer.text()


async def stored(url: str, fingerprint: str) -> list[dict[str, Any]]:
    query = {"term": {"fingerprint": fingerprint}}
    async with AsyncElasticsearch(url) as client:
        await client.indices.refresh(index=INDEX, ignore_unavailable=True)
        found = await client.search(index=INDEX, query=query, ignore_unavailable=True)
    return [hit["_source"] for hit in found["hits"]["hits"]]


async def test_an_alert_is_one_document_from_firing_to_resolved(
    server: SearchServer, fingerprint: str
) -> None:
    async with running(server.url) as client:
        assert await post(client, notification(alert("firing", fingerprint))) == (200, "")
        [document] = await stored(server.url, fingerprint)
        assert document["status"] == "firing"
        assert await post(client, notification(alert("resolved", fingerprint))) == (200, "")
        assert await post(client, notification(alert("firing", fingerprint))) == (200, "")
    [document] = await stored(server.url, fingerprint)
    assert document["status"] == "resolved"
    assert document["endsAt"] == "2026-11-23T18:05:00Z"
    assert document["annotations"]["summary"] == "41 % of the last 30 s"


async def test_two_loggers_at_once_agree(server: SearchServer, fingerprint: str) -> None:
    statuses = ["firing", "resolved"] * 5
    async with running(server.url) as one, running(server.url) as other:
        said = [notification(alert(status, fingerprint)) for status in statuses]
        answers = await asyncio.gather(
            *(post(client, it) for it in said for client in (one, other))
        )
    assert set(answers) == {(200, "")}
    [document] = await stored(server.url, fingerprint)
    assert document["status"] == "resolved"
    assert {"firing_logged_at", "resolved_logged_at"} <= set(document)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"[" * 100_000, b'{"version": "4"}', {"version": 4}]
)
async def test_a_bad_body_is_told_so(server: SearchServer, body: object) -> None:
    async with running(server.url) as client:
        status, text = await post(client, body)
        assert status == 400
        assert json.loads(text)["error"]
        async with client.get("/live") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_not_encoded_as_it_says_is_told_so(
    server: SearchServer, fingerprint: str, encoding: str
) -> None:
    said = notification(alert("firing", fingerprint))
    async with running(server.url) as client:
        status, text = await post(client, said, **{"content-encoding": encoding})
    assert status == 400
    assert "encode it again" in json.loads(text)["error"]
    assert await stored(server.url, fingerprint) == []


async def test_a_bad_alert_harms_no_good_one(server: SearchServer, fingerprint: str) -> None:
    bad = {**alert("firing", fingerprint), "startsAt": 5}
    async with running(server.url) as client:
        status, text = await post(client, notification(bad, alert("firing", fingerprint)))
    assert status == 400
    assert "alerts[0].startsAt" in json.loads(text)["error"]
    assert len(await stored(server.url, fingerprint)) == 1


async def test_an_alert_that_elasticsearch_refuses_is_not_asked_for_again(fingerprint: str) -> None:
    good = {**alert("firing", fingerprint), "labels": {"alertname": "2026-01-01"}}
    with search_server() as server:
        async with AsyncElasticsearch(server.url) as elasticsearch:
            mappings = {"properties": {"alertname": {"type": "date"}}}
            await elasticsearch.indices.create(index=INDEX, mappings=mappings)
        async with running(server.url) as client:
            odd = alert("firing", "odd" + fingerprint)
            status, text = await post(client, notification(odd, good))
        assert status == 400
        assert "refuses" in json.loads(text)["error"]
        assert len(await stored(server.url, fingerprint)) == 1


async def test_a_huge_body_is_refused(server: SearchServer) -> None:
    async with running(server.url, max_notification_bytes=1000) as client:
        status, text = await post(client, b"x" * 2000)
    assert status == 413
    assert "1000" in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/alerts", 405), ("POST", "/", 404)]
)
async def test_wrong_methods_and_paths_are_told_so(
    server: SearchServer, method: str, path: str, status: int
) -> None:
    async with running(server.url) as client, client.request(method, path) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


async def test_elasticsearch_away_and_back_empty(fingerprint: str) -> None:
    with search_server() as fragile:
        async with running(fragile.url) as client:
            assert (await post(client, notification(alert("firing", fingerprint))))[0] == 200
            fragile.kill()
            assert (await post(client, notification(alert("resolved", fingerprint))))[0] == 503
            fragile.start()
            assert (await post(client, notification(alert("resolved", fingerprint))))[0] == 200
            async with AsyncElasticsearch(fragile.url) as elasticsearch:
                mapping = await elasticsearch.indices.get_mapping(index=INDEX)
        assert mapping[INDEX]["mappings"]["dynamic"] == "false"
        assert (await stored(fragile.url, fingerprint))[0]["status"] == "resolved"


async def test_metrics_start_at_zero(server: SearchServer) -> None:
    async with running(server.url) as client, client.get("/metrics") as answer:
        text = await answer.text()
    assert 'closedloop_alerts_received_total{status="resolved"} 0.0' in text
    assert 'closedloop_alerts_notifications_failed_total{reason="unavailable"} 0.0' in text
