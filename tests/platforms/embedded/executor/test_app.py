import asyncio
import gzip
import json
import uuid

import pytest
from aiohttp import web

from closedloop.platforms.embedded.executor.app import html_escaped
from tests.platforms.embedded.executor.rig import ANSWER, Rig, rig
from tests.ports import free_port

PREDICT = "/api/v1.0/predictions"
FEEDBACK = "/api/v1.0/feedback"
BODY = b'{"data": {"ndarray":[[1, 2,3,4]]}}'
JSON = {"Content-Type": "application/json"}
FIXED = {
    "X-Content-Type-Options": "nosniff",
}


@pytest.mark.parametrize(
    ("path", "model_path"),
    [
        ("/api/v1.0/predictions", "/predict"),
        ("/api/v0.1/predictions", "/predict"),
        ("/api/v1.0/feedback", "/send-feedback"),
        ("/api/v0.1/feedback", "/send-feedback"),
    ],
)
async def test_a_call_reaches_the_model_byte_for_byte(
    loop_rig: Rig, path: str, model_path: str
) -> None:
    async with loop_rig.client.post(path, data=BODY, headers=JSON) as response:
        assert (response.status, await response.read()) == (200, ANSWER)
    (got,) = loop_rig.model.got
    assert (got.method, got.path, got.body) == ("POST", model_path, BODY)


async def test_every_header_of_an_answer(loop_rig: Rig) -> None:
    headers = {**JSON, "Seldon-Puid": "abc"}
    async with loop_rig.client.post(PREDICT, data=BODY, headers=headers) as response:
        answered = dict(response.headers)
    answered.pop("Date")
    assert answered == {
        **FIXED,
        "Seldon-Puid": "abc",
        "Content-Type": "application/json",
        "Content-Length": str(len(ANSWER)),
    }


@pytest.mark.parametrize("sent", [{}, {"Seldon-Puid": ""}])
async def test_without_a_puid_one_is_made_returned_and_forwarded(
    loop_rig: Rig, sent: dict[str, str]
) -> None:
    async with loop_rig.client.post(PREDICT, data=BODY, headers=sent) as response:
        puid = response.headers["Seldon-Puid"]
    assert uuid.UUID(puid).version == 4
    assert loop_rig.model.got[0].headers.getall("Seldon-Puid") == [puid]


async def test_a_cloud_event_is_echoed(loop_rig: Rig) -> None:
    headers = {"Ce-Specversion": "1.0", "Seldon-Puid": "p"}
    async with loop_rig.client.post(PREDICT, data=BODY, headers=headers) as response:
        echoed = {k: v for k, v in response.headers.items() if k.startswith("Ce-")}
    assert echoed == {
        "Ce-Id": "p",
        "Ce-Specversion": "0.3",
        "Ce-Path": PREDICT,
        "Ce-Type": "seldon.iris.ns.response",
        "Ce-Source": "seldon.iris",
    }


async def test_headers_are_forwarded_and_the_content_type_is_the_clients(loop_rig: Rig) -> None:
    headers = [
        ("X-A", "1"),
        ("X-A", "2"),
        ("Content-Type", "application/x-mine"),
        ("User-Agent", "me"),
    ]
    async with loop_rig.client.post(PREDICT, data=BODY, headers=headers):
        pass
    got = loop_rig.model.got[0].headers
    assert got.getall("X-A") == ["1", "2"]
    assert got.getall("Content-Type") == ["application/x-mine"]
    assert got.getall("User-Agent") == ["me"]
    assert got["Host"] == loop_rig.model.url.removeprefix("http://")


async def test_a_header_that_is_not_utf8_is_no_error(loop_rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", loop_rig.settings.port)
    writer.write(
        b"POST /api/v1.0/predictions HTTP/1.1\r\nHost: x\r\nSeldon-Puid: caf\xe9\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_of_the_models_reply_only_type_encoding_and_body_survive() -> None:
    async def answer() -> web.Response:
        headers = {"Content-Encoding": "gzip", "X-Model": "1", "Content-Type": "application/json"}
        return web.Response(body=gzip.compress(b'"<"'), headers=headers)

    async with (
        rig(model_answer=answer) as running,
        running.client.post(PREDICT, data=BODY) as response,
    ):
        assert await response.read() == b'"<"'  # the client unpacked it, nobody escaped it
        assert response.headers["Content-Encoding"] == "gzip"
        assert "X-Model" not in response.headers


async def test_json_is_escaped_for_html() -> None:
    async def answer() -> web.Response:
        return web.Response(body='{"a":"<b>&\u2028"}'.encode(), content_type="application/json")

    async with (
        rig(model_answer=answer) as running,
        running.client.post(PREDICT, data=BODY) as response,
    ):
        assert await response.read() == rb'{"a":"\u003cb\u003e\u0026\u2028"}'


def test_escaping_leaves_everything_else_alone() -> None:
    assert html_escaped(b'{"a":[1.0, "\xff"]}') == b'{"a":[1.0, "\xff"]}'


@pytest.mark.parametrize("status", [201, 302, 400, 500, 503])
@pytest.mark.parametrize("path", [PREDICT, FEEDBACK])
async def test_a_model_that_refuses_is_quoted(status: int, path: str) -> None:
    async def answer() -> web.Response:
        return web.Response(status=status, body=b'{"status":1}', content_type="application/json")

    async with (
        rig(model_answer=answer) as running,
        running.client.post(path, data=BODY, allow_redirects=False) as response,
    ):
        assert (response.status, await response.read()) == (status, b'{"status":1}')
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Seldon-Puid" in response.headers


@pytest.mark.parametrize(("path", "called"), [(PREDICT, "/predict"), (FEEDBACK, "/send-feedback")])
async def test_a_model_that_is_not_there_is_a_failure(path: str, called: str) -> None:
    port = free_port()
    async with (
        rig(model_url=f"http://127.0.0.1:{port}") as running,
        running.client.post(path, data=BODY) as response,
    ):
        assert response.status == 500
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        said = json.loads(await response.read())["status"]
        assert (said["code"], said["status"]) == (500, "FAILURE")
        assert f"http://127.0.0.1:{port}{called}" in said["info"]


async def test_a_slow_model_is_a_failure_when_a_timeout_is_set() -> None:
    async def never() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        rig(model_answer=never, rest_timeout_ms=50) as running,
        running.client.post(PREDICT, data=BODY) as response,
    ):
        info = json.loads(await response.read())["status"]["info"]
        assert response.status == 500
        assert "/predict" in info


async def test_a_compressed_request_is_passed_as_it_is(loop_rig: Rig) -> None:
    packed = gzip.compress(BODY)
    headers = {**JSON, "Content-Encoding": "gzip"}
    async with loop_rig.client.post(PREDICT, data=packed, headers=headers) as response:
        assert response.status == 200
    (got,) = loop_rig.model.got
    assert (got.body, got.headers["Content-Encoding"]) == (packed, "gzip")


async def test_readiness_follows_the_model(loop_rig: Rig) -> None:
    async with loop_rig.client.get("/ready") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert "Content-Type" not in response.headers
    async with rig(model_url=f"http://127.0.0.1:{free_port()}") as without:
        async with without.client.get("/ready") as response:
            assert (response.status, await response.read()) == (503, b"")
        async with without.client.get("/live") as response:
            assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/nothing", 404), ("POST", "/predict", 404), ("GET", PREDICT, 405)],
)
async def test_what_is_not_routed(loop_rig: Rig, method: str, path: str, status: int) -> None:
    async with loop_rig.client.request(method, path) as response:
        assert response.status == status
        assert "Seldon-Puid" not in response.headers


async def test_a_huge_body_is_refused_and_the_executor_lives() -> None:
    async with rig(max_body=1000) as running:
        async with running.client.post(PREDICT, data=b"x" * 2000) as response:
            assert response.status == 413
            assert "send a smaller body" in await response.text()
        async with running.client.post(PREDICT, data=BODY) as response:
            assert response.status == 200


async def test_durations_are_exposed_as_seldon_exposes_them(loop_rig: Rig) -> None:
    async with loop_rig.client.post(PREDICT, data=BODY):
        pass
    server = {
        "deployment_name": "iris",
        "predictor_name": "default",
        "predictor_version": "",
        "service": "predictions",
        "method": "post",
        "code": "200",
    }
    model = {
        **server,
        "service": "/predict",
        "model_name": "classifier",
        "model_image": "closedloop/iris",
        "model_version": "0.1.0",
    }
    for side, labels in (("server", server), ("client", model)):
        name = f"seldon_api_executor_{side}_requests_seconds"
        assert await loop_rig.sample(f"{name}_count", **labels) == 1
        assert await loop_rig.sample(f"{name}_bucket", le="+Inf", **labels) == 1


async def test_health_probes_and_scrapes_are_not_timed(loop_rig: Rig) -> None:
    async with loop_rig.client.get("/ready"):
        pass
    assert await loop_rig.sample("seldon_api_executor_server_requests_seconds_count") is None
