"""Events over HTTP in every form in which a client may send them."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from closedloop.services.kit.asgi import Answer, Application, Headers, Server, configured

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nCE-Id: a\r\nce-id: b\r\n"


class Taken:
    """The events that came, each answered with 202 but for a body that says otherwise."""

    def __init__(self) -> None:
        self.events: list[tuple[dict[str, str], bytes, int, str]] = []

    def event(self, headers: Headers, body: bytes, size: int, broken: str) -> Answer:
        self.events.append((dict(headers), body, size, broken))
        if body == b"fault":
            raise RuntimeError("a fault")
        return (503, "not now") if body == b"later" else (202, "")


@asynccontextmanager
async def _no_lifetime() -> AsyncIterator[None]:
    yield


async def answers(taken: Taken, *sent: bytes, wanted: int = 1) -> list[bytes]:
    """The lines of the `wanted` answers to what one connection sends, part by part."""
    app = Application(
        taken.event,
        ["ce-id"],
        most_bytes=10,
        registry=CollectorRegistry(),
        why_not_ready=lambda: None,
        lifetime=_no_lifetime,
    )
    server = Server(configured(app, grace=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        for part in sent:
            writer.write(part)
            await asyncio.sleep(0.02)
        said = b""
        while said.count(b"HTTP/1.1") < wanted:
            said += await asyncio.wait_for(reader.read(4096), 20)
        server.should_exit = True
        said += await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await serving
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


async def test_a_sender_that_waits_for_leave_gets_it() -> None:
    taken = Taken()
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    assert statuses(await answers(taken, head, b"body", wanted=2)) == [100, 202]


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


async def test_who_hangs_up_in_the_middle_is_not_counted() -> None:
    taken = Taken()
    assert await answers(taken, PLAIN[:-1], wanted=0) == [b""]
    assert taken.events == []
