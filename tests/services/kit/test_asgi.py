"""Events over HTTP in every form in which a client may send them."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from closedloop.services.kit.asgi import Application, Headers, Reply
from tests.services.serving import serving

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nCE-Id: a\r\nce-id: b\r\n"


class Taken:
    """The events that came, each answered with 202 but for a body that says otherwise."""

    def __init__(self) -> None:
        self.events: list[tuple[dict[str, str], bytes, int, str]] = []
        self.replies: list[Reply] = []

    def event(self, reply: Reply, headers: Headers, body: bytes, size: int, broken: str) -> None:
        self.events.append((dict(headers), body, size, broken))
        self.replies.append(reply)
        if body == b"fault":
            raise RuntimeError("a fault")
        answer = (503, "not now") if body == b"later" else (202, "")
        if body == b"wait":
            asyncio.get_running_loop().call_later(0.3, reply, *answer)
        else:
            reply(*answer)


@asynccontextmanager
async def _no_lifetime() -> AsyncIterator[None]:
    yield


def application(taken: Taken, registry: CollectorRegistry | None = None) -> Application:
    return Application(
        {"/": taken.event},
        ["ce-id"],
        most_bytes=10,
        registry=registry or CollectorRegistry(),
        why_not_ready=lambda: None,
        lifetime=_no_lifetime,
    )


async def answers(taken: Taken, *sent: bytes, wanted: int = 1) -> list[bytes]:
    """The lines of the `wanted` answers to what one connection sends, part by part."""
    async with serving(application(taken)) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in sent:
            writer.write(part)
            await asyncio.sleep(0.02)
        said = b""
        while said.count(b"HTTP/1.1") < wanted:
            said += await asyncio.wait_for(reader.read(4096), 20)
        server.should_exit = True
        said += await asyncio.wait_for(reader.read(), 20)
        writer.close()
    return said.split(b"\r\n")


def statuses(lines: list[bytes]) -> list[int]:
    # An answer begins right after the body of the one before it.
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", b"\n".join(lines))]


PLAIN = HEAD + b"Content-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize(
    "sent",
    [
        [PLAIN],
        [PLAIN[:20], PLAIN[20:-2], PLAIN[-2:]],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"],
        [PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0")],
        [HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\nbody"],
    ],
)
async def test_an_event_is_the_same_however_it_is_sent(sent: list[bytes]) -> None:
    taken = Taken()
    assert statuses(await answers(taken, *sent)) == [202]
    assert taken.events == [({"ce-id": "a"}, b"body", 4, "")]


async def test_one_connection_takes_one_event_after_the_other() -> None:
    taken = Taken()
    assert statuses(await answers(taken, PLAIN + PLAIN, PLAIN, wanted=3)) == [202] * 3
    assert len(taken.events) == 3


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (PLAIN, 202),
        (PLAIN.replace(b"/1.1", b"/1.0"), 202),
        (b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ],
)
async def test_what_is_sent_before_an_answer_is_answered_after_it(
    after: bytes, status: int
) -> None:
    taken = Taken()
    said = await answers(taken, PLAIN.replace(b"body", b"wait") * 2 + after, wanted=3)
    assert statuses(said) == [202, 202, status]
    assert [body for _, body, *_ in taken.events][:2] == [b"wait", b"wait"]


async def test_open_requests_are_answered_before_the_end() -> None:
    said = await answers(Taken(), PLAIN.replace(b"body", b"wait"), wanted=0)
    assert statuses(said) == [202]
    assert b"connection: close" in said


async def test_an_answer_to_a_sender_that_has_hung_up_is_dropped() -> None:
    taken = Taken()
    async with serving(application(taken)) as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN.replace(b"body", b"wait"))
        while not taken.events:
            await asyncio.sleep(0.001)
        writer.close()
        while server.server_state.connections:
            await asyncio.sleep(0.001)
        taken.replies[0](202, "")


@pytest.mark.parametrize("header", [b"Expect", b"expect", b"eXPECt"])
async def test_a_sender_that_waits_for_leave_gets_it(header: bytes) -> None:
    taken = Taken()
    head = HEAD + header + b": 100-continue\r\nContent-Length: 4\r\n\r\n"
    assert statuses(await answers(taken, head, b"body", wanted=2)) == [100, 202]


async def test_a_connection_without_events_is_closed_but_not_in_the_middle_of_one() -> None:
    taken = Taken()
    async with serving(application(taken)) as (server, port):
        server.config.timeout_keep_alive = cast(int, 0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN)
        assert b"202" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        writer.write(PLAIN[:9])
        await asyncio.sleep(0.4)
        writer.write(PLAIN[9:])
        said = await asyncio.wait_for(reader.read(), 20)
        writer.close()
    assert len(taken.events) == 2
    assert said.count(b"202") == 1


async def test_the_page_of_metrics_is_that_of_now() -> None:
    registry = CollectorRegistry()
    events = Counter("events", "Events.", ["kind"], registry=registry)
    Gauge("other", "Stays as it is.", registry=registry).set(1)
    async with serving(application(Taken(), registry)) as (_, port), ClientSession() as client:
        for kind in ("a", "b", "a"):
            events.labels(kind).inc()
            async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert await answer.read() == generate_latest(registry)


class _Slow(Collector):
    """A family in parts, each of which takes its time."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    def collect(self) -> Iterator[Metric]:
        for part in range(100):
            self.begun.set()
            time.sleep(0.01)
            family = GaugeMetricFamily("slow", "Slow.", labels=["part"])
            family.add_metric([str(part)], part)
            yield family


async def test_events_are_taken_while_a_long_page_is_written_with_each_family_once() -> None:
    registry, slow, taken = CollectorRegistry(), _Slow(), Taken()
    registry.register(slow)
    async with serving(application(taken, registry)) as (_, port), ClientSession() as client:
        page = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/metrics"))
        await slow.begun.wait()
        async with client.post(f"http://127.0.0.1:{port}/", data=b"x") as answer:
            assert answer.status == 202
        assert not page.done()
        async with await page as said:
            text = await said.text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# HELP slow Slow.",
        "# TYPE slow gauge",
    ]
    assert text.count("\nslow{") == 100


async def test_of_a_body_past_the_limit_only_its_size_is_told() -> None:
    taken = Taken()
    body = b"x" * 5000
    await answers(taken, HEAD + b"Content-Length: 5000\r\n\r\n" + body)
    assert taken.events == [({"ce-id": "a"}, b"x" * 10, 5000, "")]


async def test_an_error_is_a_sentence_in_json() -> None:
    lines = await answers(Taken(), HEAD + b"Content-Length: 5\r\n\r\nlater")
    assert statuses(lines) == [503]
    assert lines[-1] == b'{"error": "not now"}'


async def test_a_fault_is_told_and_the_next_event_taken() -> None:
    taken = Taken()
    with capture_logs() as logged:
        lines = await answers(taken, HEAD + b"Content-Length: 5\r\n\r\nfault", PLAIN, wanted=2)
    assert statuses(lines) == [500, 202]
    assert [line["log_level"] for line in logged] == ["error"]


async def test_an_event_that_is_not_sent_whole_is_not_taken() -> None:
    taken = Taken()
    assert await answers(taken, PLAIN[:-1], wanted=0) == [b""]
    assert taken.events == []
