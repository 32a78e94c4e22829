"""Bad input: the service lives, says what is wrong, keeps it, and good data is unharmed."""

import asyncio
import base64
import io
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from closedloop.loop import events
from closedloop.loop.keys import DEAD_LETTERS
from tests.elasticsearch import SearchServer
from tests.services.request_logger.running import (
    IRIS,
    documents,
    event,
    log_of,
    loop_of,
    running_logger,
    send_all,
)

DEEP = b'{"data": {"ndarray": ' + b"[" * 900 + b"]" * 900 + b"}}"
BAD_BODIES: list[tuple[str, bytes, str]] = [
    (events.REQUEST, b"", "bad_json"),
    (events.REQUEST, b"{", "bad_json"),
    (events.REQUEST, b"[1, 2]", "bad_json"),
    (events.REQUEST, b"null", "bad_json"),
    (events.REQUEST, b"\xff\xfe{}", "bad_json"),
    (events.REQUEST, b'{"data": NaN}', "bad_payload"),
    (events.REQUEST, b"\x1f\x8b no gzip", "bad_encoding"),
    (events.REQUEST, b"[" * 60_000, "bad_json"),
    (events.REQUEST, b"{}", "bad_payload"),
    (events.REQUEST, b'{"data": 5}', "bad_payload"),
    (events.REQUEST, b'{"data": {"ndarray": {"a": 1}}}', "bad_payload"),
    (events.REQUEST, b'{"data": {"names": "x", "ndarray": [[1]]}}', "bad_payload"),
    (events.REQUEST, b'{"data": {"tensor": {"shape": [2, 2], "values": [1]}}}', "bad_payload"),
    (events.RESPONSE, b'{"status": {"code": 500}}', "bad_payload"),
    (events.FEEDBACK, b"{}", "bad_feedback"),
    (events.FEEDBACK, b'{"reward": "good"}', "bad_feedback"),
    (events.FEEDBACK, b'{"reward": 1, "truth": [2]}', "bad_feedback"),
    (events.FEEDBACK, b'{"truth": {"data": {"ndarray": []}}}', "bad_feedback"),
    (events.FEEDBACK, b'{"reward": 1, "pad": "' + b"x" * 70_000 + b'"}', "too_large"),
]
BAD_HEADERS: list[tuple[dict[str, str], str]] = [
    ({"ce-requestid": ""}, "missing_header"),
    ({"ce-specversion": "0.3"}, "bad_header"),
    ({"ce-requestid": "x" * 600}, "bad_header"),
    ({"ce-endpoint": "x" * 300}, "bad_header"),
    ({"ce-type": "io.seldon.serving.unheard.of"}, "unknown_type"),
    ({"ce-time": "yesterday"}, "bad_time"),
    ({"ce-time": "1492-10-12T12:00:00Z"}, "bad_time"),
]


async def letters(url: str, request_id: str) -> list[dict[str, Any]]:
    query = {"term": {"RequestId": request_id}}
    return list((await documents(url, DEAD_LETTERS, query=query)).values())


async def test_bad_bodies_are_kept_with_the_reason_and_the_good_ones_beside_them_written(
    server: SearchServer, deployment: str
) -> None:
    bad = [
        (event(kind, body, f"{deployment}-{i}", deployment=deployment), reason)
        for i, (kind, body, reason) in enumerate(BAD_BODIES)
    ]
    good = [one for i in range(20) for one in loop_of(f"good-{i}", deployment)]
    async with running_logger(server.url, max_event_bytes=65_536) as logger:
        assert set(await send_all(logger, [*(one for one, _ in bad), *good])) == {202}
        for reason in {reason for _, reason in bad}:
            expected = sum(reason == other for _, other in bad)
            assert logger.sample("dead_letters_total", reason=reason) == expected
            assert logger.sample("events_failed_total", reason=reason) == expected
    for one, reason in bad:
        [letter] = await letters(server.url, one.request_id)
        assert letter["reason"] == reason, letter
        assert letter["error"]
        assert letter["headers"]["ce-id"] == one.id
        assert letter["body_bytes"] == len(one.body)
    assert set(await documents(server.url, log_of(deployment))) == {f"good-{i}" for i in range(20)}


async def test_a_body_that_is_not_utf8_is_kept_as_base64(
    server: SearchServer, deployment: str
) -> None:
    async with running_logger(server.url) as logger:
        await logger.send(event(events.REQUEST, b"\xff{}", deployment, deployment=deployment))
    [letter] = await letters(server.url, deployment)
    assert base64.b64decode(letter["body_base64"]) == b"\xff{}"


async def test_a_body_that_is_not_encoded_as_it_says_is_a_dead_letter(
    server: SearchServer, deployment: str
) -> None:
    sent = event(events.REQUEST, b"{}", deployment, deployment=deployment)
    async with running_logger(server.url) as logger:
        for path in ("/", "/dead-letters"):
            headers = {**sent.headers(), "content-encoding": "gzip"}
            assert await logger.post(path, headers, sent.body) == 202
        assert logger.sample("events_failed_total", reason="bad_encoding") == 1
    kept = await letters(server.url, deployment)
    assert {letter["reason"] for letter in kept} == {"bad_encoding", "undelivered"}
    assert all("encode it again" in letter["error"] for letter in kept)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_body_is_kept_in_part_and_never_whole_in_memory(
    server: SearchServer, deployment: str, chunked: bool
) -> None:
    sent = event(events.REQUEST, b"", deployment, deployment=deployment)
    huge = 20 << 20

    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * (1 << 20)

    async with running_logger(server.url, max_event_bytes=1 << 20) as logger:
        data = body() if chunked else io.BytesIO(b"x" * huge)
        async with logger.client.post("/", headers=sent.headers(), data=data) as answer:
            assert answer.status == 202
    [letter] = await letters(server.url, deployment)
    assert letter["reason"] == "too_large"
    assert letter["cut"] is True
    assert len(letter["body"]) == 64 << 10
    assert letter["body_bytes"] > 1 << 20 if chunked else letter["body_bytes"] == huge


@pytest.mark.parametrize(("changed", "reason"), BAD_HEADERS, ids=lambda value: str(value)[:40])
async def test_bad_headers_are_kept_with_the_reason(
    server: SearchServer, deployment: str, changed: dict[str, str], reason: str
) -> None:
    sent = event(events.REQUEST, IRIS, "puid", deployment=deployment)
    async with running_logger(server.url) as logger:
        assert await logger.post("/", {**sent.headers(), **changed}, sent.body) == 202
        assert logger.sample("dead_letters_total", reason=reason) == 1
    assert await documents(server.url, log_of(deployment)) == {}


async def test_header_bytes_that_are_not_utf8_are_kept_readable(
    server: SearchServer, deployment: str
) -> None:
    async with running_logger(server.url) as logger:
        reader, writer = await asyncio.open_connection("127.0.0.1", logger.port)
        sent = event(events.REQUEST, IRIS, deployment, deployment=deployment)
        lines = [f"{name}: {value}".encode() for name, value in sent.headers().items()]
        lines += [b"ce-modelid: \xff", b"host: x", b"content-length: %d" % len(sent.body)]
        lines = [line for line in lines if line != b"ce-modelid: classifier"]
        writer.write(b"\r\n".join([b"POST / HTTP/1.1", *lines, b"", sent.body]))
        assert b"202" in await reader.readline()
        writer.close()
    [letter] = await letters(server.url, deployment)
    assert letter["reason"] == "bad_header"
    assert letter["headers"]["ce-modelid"] == "\\udcff"


@pytest.mark.parametrize("absent", ["ce-id", "ce-source", "ce-specversion", "ce-type"])
async def test_what_is_no_cloudevent_is_told_so(
    server: SearchServer, deployment: str, absent: str
) -> None:
    sent = event(events.REQUEST, IRIS, deployment, deployment=deployment)
    headers = {name: value for name, value in sent.headers().items() if name != absent}
    async with (
        running_logger(server.url) as logger,
        logger.client.post("/", headers=headers, data=sent.body) as answer,
    ):
        assert answer.status == 400
        assert absent in (await answer.json())["error"]
        assert logger.sample("events_failed_total", reason="not_an_event") == 1
    assert await letters(server.url, deployment) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 405), ("PUT", "/dead-letters", 405), ("POST", "/nowhere", 404)],
)
async def test_wrong_methods_and_paths_are_told_so(
    server: SearchServer, method: str, path: str, status: int
) -> None:
    async with (
        running_logger(server.url) as logger,
        logger.client.request(method, path, data=b"x") as answer,
    ):
        assert answer.status == status
        assert path in (await answer.json())["error"]


async def test_an_event_that_arrives_twice_is_one_dead_letter(
    server: SearchServer, deployment: str
) -> None:
    sent = event(events.REQUEST, b"{", deployment, deployment=deployment)
    async with running_logger(server.url) as logger:
        assert await send_all(logger, [sent, sent]) == [202, 202]
        assert await logger.send(sent) == 202
    assert len(await letters(server.url, deployment)) == 1


async def test_credentials_are_not_kept(server: SearchServer, deployment: str) -> None:
    sent = event(events.REQUEST, b"{", deployment, deployment=deployment)
    async with running_logger(server.url) as logger:
        await logger.post("/", {**sent.headers(), "Authorization": "Bearer secret"}, sent.body)
    [letter] = await letters(server.url, deployment)
    assert "secret" not in json.dumps(letter)


async def test_what_the_broker_could_not_deliver_is_kept_whole(
    server: SearchServer, deployment: str
) -> None:
    body = json.dumps({"pad": "x" * 100_000}).encode()
    sent = event("com.example.other", body, deployment, deployment=deployment)
    headers = {
        **sent.headers(),
        "ce-knativeerrordest": "http://metrics-server.seldon-logs.svc.cluster.local",
        "ce-knativeerrorcode": "503",
        "ce-knativeerrordata": base64.b64encode(b"restoring").decode(),
    }
    async with running_logger(server.url) as logger:
        assert await logger.post("/dead-letters", headers, sent.body) == 202
        assert logger.sample("dead_letters_total", reason="undelivered") == 1
    [letter] = await letters(server.url, deployment)
    assert letter["error"] == (
        "the broker could not deliver it to"
        " http://metrics-server.seldon-logs.svc.cluster.local: 503, restoring"
    )
    assert letter["body"].encode() == body


async def test_a_dead_letter_of_any_shape_is_kept_but_not_nothing(server: SearchServer) -> None:
    mark = uuid.uuid4().hex.encode()
    async with running_logger(server.url) as logger:
        assert await logger.post("/dead-letters", {}, mark) == 202
        assert await logger.post("/dead-letters", {}, b"") == 400
    found = await documents(server.url, DEAD_LETTERS)
    assert any(letter.get("body") == mark.decode() for letter in found.values())
