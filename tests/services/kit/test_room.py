"""Bodies that are being received share their memory."""

import asyncio
import random
import re
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.services.kit import asgi, server
from closedloop.services.kit.room import Claim, Room
from tests.services.kit.test_asgi import HEAD, Taken, application, statuses
from tests.services.serving import serving

HTTP_1_0 = HEAD.replace(b"1.1", b"1.0")
BEGUN = HEAD + b"Content-Length: 8\r\n\r\n1234"


@given(st.lists(st.one_of(st.integers(0, 30), st.none()), max_size=60))
def test_no_more_is_given_than_there_is_and_in_the_order_of_the_claims(
    steps: list[int | None],
) -> None:
    room, size = Room(20), 20
    claims: list[Claim] = []  # neither refused nor given back
    granted: list[int] = []
    for number, step in enumerate(steps):
        if step is None:
            if claims:
                claims.pop(len(claims) // 2).give_back()
        else:
            claim = room.claim(step, lambda number=number: granted.append(number))  # type: ignore[misc]
            claims.append(claim)
        has = [claim for claim in claims if claim.has]
        assert sum(claim.size for claim in has) <= size
        waiting = [claim for claim in claims if not claim.has]
        # The first that waits does not fit, and nobody overtook it.
        assert not waiting or sum(claim.size for claim in has) + waiting[0].size > size
        assert claims == has + waiting
    assert granted == sorted(granted)


def test_giving_back_twice_gives_once() -> None:
    room = Room(10)
    first, _, third = (room.claim(5, lambda: None) for _ in range(3))
    first.give_back()
    first.give_back()
    assert third.has
    assert not room.claim(5, lambda: None).has


async def connected(port: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose server has what was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await asyncio.sleep(0.05)
    return reader, writer


async def is_accepted(reader: asyncio.StreamReader) -> bool:
    return b" 202 " in await asyncio.wait_for(reader.readline(), 20)


@pytest.mark.parametrize("head", [HEAD, HTTP_1_0])
async def test_a_body_waits_until_others_have_come(head: bytes) -> None:
    app = application(taken := Taken())
    app.room = Room(10)
    async with serving(app) as (_, port):
        first, writer = await connected(port, BEGUN)
        second, other = await connected(port, head + b"Content-Length: 8\r\n\r\n")
        other.write(b"abcdefgh")
        await asyncio.sleep(0.05)
        assert not taken.events
        writer.write(b"5678")
        assert await is_accepted(first)
        assert await is_accepted(second)
        assert [body for _, body, *_ in taken.events] == [b"12345678", b"abcdefgh"]
        writer.close()
        other.close()


async def test_a_body_that_came_with_its_headers_waits_for_nobody() -> None:
    app = application(Taken())
    app.room = Room(4)
    async with serving(app) as (_, port):
        _, writer = await connected(port, BEGUN)
        reader, other = await connected(port, HEAD + b"Content-Length: 4\r\n\r\nbody")
        assert await is_accepted(reader)
        writer.close()
        other.close()


async def test_who_hangs_up_gives_its_room_back() -> None:
    app = application(Taken())
    app.room = Room(8)
    async with serving(app) as (_, port):
        for _ in range(3):
            _, writer = await connected(port, BEGUN)
            writer.close()
        reader, writer = await connected(port, BEGUN)
        writer.write(b"5678")
        assert await is_accepted(reader)
        writer.close()


@pytest.mark.parametrize("head", [HEAD, HTTP_1_0])
async def test_a_body_that_does_not_come_is_given_up_and_so_is_one_that_waits(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(server, "BODY_SECONDS", 0.3)
    app = application(taken := Taken())
    app.room = Room(8)
    async with serving(app) as (_, port):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in opened:
            writer.write(head + b"Content-Length: 8\r\n\r\n1234")
            await asyncio.sleep(0.02)
        app.room.claim(8, lambda: None)  # whoever comes after the second one finds no room
        opened.append(await asyncio.open_connection("127.0.0.1", port))
        opened[-1][1].write(head + b"Content-Length: 8\r\n\r\n1234")
        said = [await asyncio.wait_for(reader.read(), 20) for reader, _ in opened]
        assert statuses(said) == [408, 408, 503]
        for _, writer in opened:
            writer.close()
        assert not taken.events
        app.room = Room(8)
        reader, writer = await connected(port, head + b"Content-Length: 8\r\n\r\n12345678")
        assert await is_accepted(reader)
        writer.close()


@pytest.mark.parametrize("seed", range(4))
async def test_every_event_is_taken_once_in_whatever_pieces_all_come(seed: int) -> None:
    said = random.Random(seed)
    app = application(taken := Taken())
    app.room = Room(25)  # most_bytes is 10

    def request(body: bytes) -> bytes:
        head = said.choice([HEAD, HEAD + b"Expect: 100-continue\r\n"])
        if said.random() < 0.3:
            return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                len(body),
                body,
            )
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def sender(port: int, bodies: list[bytes]) -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = b"".join(map(request, bodies))
        while sent:
            size = said.randint(1, 120)
            writer.write(sent[:size])
            sent = sent[size:]
            await asyncio.sleep(said.choice([0, 0, 0.001]))
        answers = b""
        while answers.count(b" 202 ") < len(bodies):
            more = await asyncio.wait_for(reader.read(4096), 20)
            assert more
            answers += more
        writer.close()
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)]

    bodies = [[b"%03d-%03d" % (i, j) for j in range(12)] for i in range(20)]
    async with serving(app) as (_, port):
        answered = await asyncio.gather(*(sender(port, some) for some in bodies))
        assert {status for some in answered for status in some} <= {100, 202}
        assert sorted(body for _, body, *_ in taken.events) == sorted(chain.from_iterable(bodies))
        assert app.room.claim(25, lambda: None).has  # all of it is there again
