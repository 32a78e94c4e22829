import asyncio
import gzip
import re
import uuid
from io import BytesIO
from itertools import pairwise

import pytest
from aiohttp import web

from closedloop.loop import events, rfc3339
from tests.platforms.embedded.executor.rig import ANSWER, Rig, rig

PREDICT = "/api/v1.0/predictions"
FEEDBACK = "/api/v1.0/feedback"
BODY = b'{"data":{"ndarray":[[1,2,3,4]]}}'
JSON = {"Content-Type": "application/json", "Seldon-Puid": "abc"}


async def _post(running: Rig, path: str = PREDICT, **headers: str) -> int:
    sent = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with running.client.post(path, data=BODY, headers=sent) as response:
        await response.read()
        return response.status


async def _bare(running: Rig, media_type: str) -> int:
    """Post with this media type, or with none."""
    headers = {"Content-Type": media_type} if media_type else {}
    async with running.client.post(
        PREDICT, data=BODY, headers=headers, skip_auto_headers=["Content-Type"]
    ) as response:
        return response.status


async def _types(running: Rig) -> list[str]:
    """The types sent so far, once the executor has nothing left to send."""
    await running.stopped()
    return sorted(got.headers["ce-type"] for got in running.sink.got)


async def test_every_header_of_an_event(loop_rig: Rig) -> None:
    await _post(loop_rig)
    request, response = sorted(await loop_rig.sink.wait(2), key=lambda got: got.headers["ce-type"])
    said = {k.lower(): v for k, v in request.headers.items()}
    assert uuid.UUID(said.pop("ce-id")).version == 4
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", said["ce-time"])
    assert not re.search(r"0Z$", said["ce-time"].partition(".")[2])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", said["ce-traceparent"])
    for name in ("ce-time", "ce-traceparent", "host", "user-agent", "accept", "accept-encoding"):
        said.pop(name)
    assert said == {
        "ce-specversion": "1.0",
        "ce-source": "http://:8000/",
        "ce-type": "io.seldon.serving.inference.request",
        "ce-requestid": "abc",
        "ce-modelid": "classifier",
        "ce-inferenceservicename": "iris",
        "ce-namespace": "ns",
        "ce-endpoint": "default",
        "ce-protocol": "seldon",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
    }
    assert (request.body, response.body) == (BODY, ANSWER)
    event = events.from_http(response.headers, response.body)
    assert (event.type, event.request_id) == (events.RESPONSE, "abc")


@pytest.mark.parametrize(
    ("mode", "predicted", "judged"),
    [
        (None, [], []),
        ("request", [events.REQUEST], []),
        ("response", [events.RESPONSE], [events.FEEDBACK]),
        ("all", [events.REQUEST, events.RESPONSE], [events.FEEDBACK]),
    ],
)
async def test_what_each_logger_mode_sends(
    mode: str | None, predicted: list[str], judged: list[str]
) -> None:
    async with rig(mode=mode) as running:
        await _post(running)
        await _post(running, FEEDBACK)
        assert await _types(running) == sorted(predicted + judged)


@pytest.mark.parametrize("value", ["true", "on", "1", "True"])
async def test_logging_can_be_skipped(loop_rig: Rig, value: str) -> None:
    await _post(loop_rig, Seldon_Skip_Logging=value)
    await _post(loop_rig, FEEDBACK, Seldon_Skip_Logging=value)
    assert await _types(loop_rig) == []


async def test_another_value_does_not_skip(loop_rig: Rig) -> None:
    await _post(loop_rig, Seldon_Skip_Logging="no")
    assert len(await _types(loop_rig)) == 2


async def test_a_refused_call_is_logged_up_to_where_it_came() -> None:
    async def refuse() -> web.Response:
        return web.Response(status=400)

    async with rig(model_answer=refuse) as running:
        assert await _post(running) == 400
        assert await _post(running, FEEDBACK) == 400
        assert await _types(running) == sorted([events.REQUEST, events.FEEDBACK])


async def test_the_request_is_sent_before_the_model_has_answered() -> None:
    answered = asyncio.Event()

    async def wait() -> web.Response:
        await answered.wait()
        return web.Response(body=ANSWER)

    async with rig(model_answer=wait) as running:
        call = asyncio.create_task(_post(running))
        (first,) = await running.sink.wait(1)
        assert first.headers["ce-type"] == events.REQUEST
        answered.set()
        assert await call == 200


async def test_compressed_answers_are_unpacked_for_the_log_and_requests_are_not() -> None:
    async def answer() -> web.Response:
        return web.Response(body=gzip.compress(ANSWER), headers={"Content-Encoding": "gzip"})

    async with rig(model_answer=answer) as running:
        headers = {**JSON, "Content-Encoding": "gzip"}
        packed = gzip.compress(BODY)
        async with running.client.post(PREDICT, data=packed, headers=headers):
            pass
        sent = await running.sink.wait(2)
        assert {got.body for got in sent} == {packed, ANSWER}
        assert not [got for got in sent if "content-encoding" in got.headers]


async def test_an_answer_that_is_not_gzip_after_all_is_counted_as_failed() -> None:
    async def answer() -> web.Response:
        return web.Response(body=ANSWER, headers={"Content-Encoding": "gzip"})

    async with rig(model_answer=answer) as running:
        async with running.client.post(PREDICT, data=BODY, headers=JSON) as response:
            assert response.status == 200
        await running.sink.wait(1)
        await _until(running, "failed", "response", 1)


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "application/x-www-form-urlencoded",
        'multipart/form-data; boundary="a b"; charset=utf-8;',
        "APPLICATION/JSON;charset=UTF-8",
        "text",
    ],
)
async def test_the_clients_media_type_is_the_events(loop_rig: Rig, media_type: str) -> None:
    assert await _bare(loop_rig, media_type) == 200
    (got,) = [
        one for one in await loop_rig.sink.wait(2) if one.headers["ce-type"] == events.REQUEST
    ]
    assert got.headers.get("content-type", "") == media_type


@pytest.mark.parametrize("media_type", ["a/b/c", "text/plain; charset", "; charset=utf-8", "a b"])
async def test_an_event_of_no_media_type_is_not_sent(loop_rig: Rig, media_type: str) -> None:
    assert await _bare(loop_rig, media_type) == 200
    await _until(loop_rig, "failed", "request", 1)


async def test_an_id_is_sent_as_it_came(loop_rig: Rig) -> None:
    for puid in ("order%2042%C3%A9", 'größer "42"'):
        await _post(loop_rig, FEEDBACK, Seldon_Puid=puid)
    sent = {got.headers["ce-requestid"] for got in await loop_rig.sink.wait(2)}
    assert sent == {"order%2042%C3%A9", 'größer "42"'}


async def test_sixteen_mebibytes_are_sent(loop_rig: Rig) -> None:
    body = b"x" * (16 << 20)
    async with loop_rig.client.post(FEEDBACK, data=BytesIO(body), headers=JSON) as response:
        assert response.status == 200
    (got,) = await loop_rig.sink.wait(1)
    assert got.body == body


async def test_a_sink_that_refuses_loses_the_event_and_says_so() -> None:
    async def refuse() -> web.Response:
        return web.Response(status=503)

    async with rig(sink_answer=refuse) as running:
        assert await _post(running) == 200
        await _until(running, "failed", "response", 1)
        await _until(running, "failed", "request", 1)
        assert len(running.sink.got) == 2  # one attempt each
        assert await _count(running, "sent", "request") == 0


async def test_a_full_queue_drops_after_the_write_timeout_and_never_delays_a_call() -> None:
    release = asyncio.Event()

    async def hang() -> web.Response:
        await release.wait()
        return web.Response(status=202)

    async with rig(mode="request", sink_answer=hang, queue_size=2, write_timeout_ms=100) as running:
        for _ in range(20):
            assert await _post(running) == 200
        await running.sink.wait(10)
        await _until(running, "dropped", "request", 8)
        queued, sending = (f"closedloop_executor_events_{one}" for one in ("queued", "sending"))
        assert (await running.sample(queued), await running.sample(sending)) == (2, 10)
        release.set()
        await _until(running, "sent", "request", 12)
        assert (await running.sample(queued), await running.sample(sending)) == (0, 0)
        assert await _count(running, "failed", "request") == 0


async def test_a_hung_sink_frees_its_worker_in_the_end() -> None:
    async def hang() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with rig(mode="request", sink_answer=hang, sink_timeout=0.05) as running:
        await _post(running)
        await _until(running, "failed", "request", 1)


async def test_what_is_queued_is_sent_before_the_end() -> None:
    async def slow() -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(status=202)

    async with rig(mode="request", sink_answer=slow) as running:
        await asyncio.gather(*(_post(running) for _ in range(50)))
        assert await _types(running) == [events.REQUEST] * 50


async def test_a_sink_that_hangs_does_not_hold_up_the_end() -> None:
    async def hang() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with rig(mode="request", sink_answer=hang, stop_grace=0.2) as running:
        await _post(running)
        await running.sink.wait(1)
        async with asyncio.timeout(60):
            await running.stopped()


async def test_times_follow_the_order_of_the_calls(loop_rig: Rig) -> None:
    for n in range(30):
        await _post(loop_rig, FEEDBACK, Seldon_Puid=f"{n:02d}")
    got = sorted(await loop_rig.sink.wait(30), key=lambda got: got.headers["ce-requestid"])
    stamps = [rfc3339.nanoseconds(one.headers["ce-time"]) for one in got]
    assert all(earlier <= later for earlier, later in pairwise(stamps))


async def _count(running: Rig, outcome: str, word: str) -> float | None:
    return await running.sample(f"closedloop_executor_events_{outcome}_total", type=word)


async def _until(running: Rig, outcome: str, word: str, value: float) -> None:
    async with asyncio.timeout(60):
        while await _count(running, outcome, word) != value:
            await asyncio.sleep(0.01)
