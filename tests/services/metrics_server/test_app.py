import asyncio
import gzip
import signal
import zlib
from collections.abc import Callable

import pytest

from closedloop.loop import events
from closedloop.loop.observation import REASONS
from closedloop.services.metrics_server.held import HeldRows
from tests.services.metrics_server.running import answer, event, reward, running_server, truth


async def test_scores_whatever_order_things_come_in(url: str) -> None:
    async with running_server(url) as server:
        await server.until_ready()
        await server.send(answer("cat", request_id="usual"), truth("cat", request_id="usual"))
        await server.send(truth("cat", request_id="early"), answer("dog", request_id="early"))
        late = truth("bird", request_id="late", second=1000)
        await server.send(answer("bird", request_id="late"), late, late)
        await server.send(answer("cat", request_id="paid"), reward(0, request_id="paid"))
        await server.send(truth("cat", request_id="nobody asked"))
        assert server.cells() == {("cat", "cat"): 1, ("dog", "cat"): 1, ("bird", "bird"): 1}
        assert (server.of_pets("correct"), server.of_pets("incorrect")) == (2, 2)
        assert server.of_pets("rows", state="unmatched") == 1
        assert server.of_pets("events_total", type="feedback", outcome="duplicate") == 1


async def test_a_batch_and_its_correction(url: str) -> None:
    async with running_server(url) as server:
        await server.until_ready()
        await server.send(answer([1, 0, 0], [0, 1, 0], [0, 0, 1]), truth(0, "dog", None))
        assert server.cells() == {("cat", "cat"): 1, ("dog", "dog"): 1}
        await server.send(truth(1, "dog", [0, 0, 1], second=2))
        assert server.cells() == {("cat", "dog"): 1, ("dog", "dog"): 1, ("bird", "bird"): 1}
        assert server.of_pets("rows", state="unlabelled") == 0


async def test_a_request_is_taken_and_changes_nothing(url: str) -> None:
    async with running_server(url) as server:
        await server.until_ready()
        assert await server.send(event(events.REQUEST, {"data": {"ndarray": [[1]]}})) == [202]
        assert server.of_pets("events_total", type="request", outcome="ignored") == 1
        assert server.of_pets("correct") == 0
        assert server.of_pets("rows", state="unlabelled") == 0


async def test_several_deployments_in_one_server(url: str) -> None:
    async with running_server(url) as server:
        await server.until_ready()
        for deployment in ("pets", "cars"):
            await server.send(answer("cat", deployment=deployment))
        await server.send(truth("cat", deployment="pets"), truth("dog", deployment="cars"))
        assert server.of_pets("accuracy") == 1
        assert server.sample(
            "accuracy",
            deployment_namespace="seldon",
            deployment_name="cars",
            predictor_name="default",
        ) == 0  # fmt: skip


REFUSED: list[tuple[dict[str, str], object, str]] = [
    ({"ce-requestid": ""}, {}, "missing_header"),
    ({"ce-specversion": "0.2"}, {}, "bad_header"),
    ({"ce-requestid": "x" * 1000}, {}, "bad_header"),
    ({"ce-endpoint": "x" * 1000}, {"reward": 1}, "bad_header"),
    ({"ce-type": "com.example.other"}, {}, "unknown_type"),
    ({"ce-time": "noon"}, {}, "bad_time"),
    ({"ce-time": "2099-01-01T00:00:00Z"}, {}, "bad_time"),
    ({}, b"", "bad_json"),
    ({}, b"\xff\xfe", "bad_json"),
    ({}, b"{", "bad_json"),
    ({}, [], "bad_json"),
    ({}, {"truth": {"data": {}}}, "bad_payload"),
    ({}, {}, "bad_feedback"),
    ({}, {"reward": "1"}, "bad_feedback"),
    ({}, b'{"reward": NaN}', "bad_feedback"),
    ({}, {"truth": {"data": {"ndarray": []}}}, "bad_feedback"),
    ({}, {"truth": {"data": {"ndarray": [None]}}}, "bad_feedback"),
    ({"ce-type": events.RESPONSE}, {"status": "FAILURE"}, "bad_payload"),
    ({"content-encoding": "gzip"}, {}, "bad_encoding"),
    ({"content-encoding": "deflate"}, zlib.compress(b"{}" * 99)[:-9], "bad_encoding"),
    ({"content-encoding": "gzip"}, gzip.compress(b" " * 2000, mtime=0), "too_large"),
    ({}, b"\x1f\x8b no gzip", "bad_encoding"),
    ({}, b" " * 2000, "too_large"),
    ({"ce-endpoint": "another"}, {"reward": 1}, "too_many_predictors"),
]


@pytest.mark.parametrize(("headers", "body", "reason"), REFUSED, ids=lambda value: str(value)[:40])
async def test_refuses_and_counts(
    url: str, headers: dict[str, str], body: object, reason: str
) -> None:
    async with running_server(url, max_event_bytes=1500, max_predictors=1) as server:
        await server.until_ready()
        await server.send(answer("cat"), truth("cat"))
        bad = event(events.FEEDBACK, body)
        async with server.client.post("/", headers=bad.headers() | headers, data=bad.body) as said:
            assert (said.status, await said.read()) == (202, b"")
        assert server.refused() == {reason: 1}
        assert server.cells() == {("cat", "cat"): 1}


def test_the_table_has_every_reason() -> None:
    assert {reason for _, _, reason in REFUSED} == set(REASONS)


@pytest.mark.parametrize("name", ["ce-id", "ce-source", "ce-specversion", "ce-type"])
async def test_what_is_no_cloudevent_is_told_so(url: str, name: str) -> None:
    async with running_server(url) as server:
        headers = truth("cat").headers() | {name: ""}
        async with server.client.post("/", headers=headers, data=b"{}") as said:
            assert said.status == 400
            assert name in (await said.json())["error"]
        assert server.refused() == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nce-requestid: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n",
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
    ],
)
async def test_lives_on_after_what_is_hardly_http(url: str, raw: bytes) -> None:
    async with running_server(url) as server:
        await server.until_ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        assert b" 400 " in await reader.readline()
        writer.close()
        assert await server.send(answer("cat")) == [202]


async def test_says_in_json_what_it_does_not_have(url: str) -> None:
    async with running_server(url) as server:
        async with server.client.get("/") as said:
            assert said.status == 405
            assert "POST" in (await said.json())["error"]
        async with server.client.get("/nothing") as said:
            assert (said.status, said.content_type) == (404, "application/json")


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_an_encoded_body_counts_as_it_would_plain(
    url: str, encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    async with running_server(url) as server:
        await server.until_ready()
        for one in (answer("cat"), truth("cat")):
            headers = one.headers() | {"content-encoding": encoding}
            async with server.client.post("/", headers=headers, data=encode(one.body)) as said:
                assert said.status == 202
        assert server.cells() == {("cat", "cat"): 1}


async def test_a_server_whose_counts_are_no_longer_kept_ends(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_: HeldRows) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(HeldRows, "run", run)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    try:
        async with running_server(url):
            await asyncio.wait_for(asked.wait(), 60)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
