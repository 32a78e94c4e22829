import asyncio

import pytest

from closedloop.loop.keys import Predictor
from closedloop.services.request_logger.backlog import Backlog
from closedloop.services.request_logger.dead_letters import dead_letter
from closedloop.services.request_logger.entry import Answer, Entry
from tests.services.request_logger.running import Asked


def entry(body: bytes = b"", deadline: float = 60) -> Asked:
    letter = dead_letter({}, body, "bad_json", "", keep=0)
    owner = Predictor("seldon", "iris", "default")
    return Asked(body, deadline=deadline, owner=owner, dead_letter=letter)


async def test_a_batch_waits_for_more_only_when_told_to() -> None:
    backlog = Backlog(10, 100_000)
    first, second, third = entry(), entry(), entry()
    loop = asyncio.get_running_loop()
    backlog.offer(first)
    later = loop.call_later(600, backlog.offer, second)
    assert await backlog.gather(10) == [first]
    later.cancel()
    backlog.offer(second)
    loop.call_later(0.02, backlog.offer, third)
    assert await backlog.gather(2, pause=600) == [second, third]


async def test_events_that_are_just_coming_are_in_the_batch_and_it_waits_for_no_end_of_them() -> (
    None
):
    backlog = Backlog(1000, 10_000_000)
    loop = asyncio.get_running_loop()
    came: list[Entry] = []

    def come(more: int) -> None:
        came.append(entry())
        backlog.offer(came[-1])
        if more:
            loop.call_soon(come, more - 1)

    come(4)
    assert await backlog.gather(1000) == came
    assert len(came) == 5
    come(500)
    assert 1 < len(await backlog.gather(1000)) < 100


async def test_events_of_one_moment_are_one_batch() -> None:
    backlog = Backlog(10, 100_000)
    gathering = asyncio.create_task(backlog.gather(10))
    await asyncio.sleep(0)
    entries = [entry() for _ in range(3)]

    async def offer(one: Entry) -> None:
        backlog.offer(one)

    await asyncio.gather(*map(offer, entries))
    assert await gathering == entries
    assert not backlog.waiting


async def test_a_full_batch_waits_for_nothing() -> None:
    backlog = Backlog(10, 100_000)
    entries = [entry() for _ in range(5)]
    for one in entries:
        backlog.offer(one)
    async with asyncio.timeout(60):
        assert await backlog.gather(3) == entries[:3]
        assert backlog
        assert await backlog.gather(2, pause=600) == entries[3:]


@pytest.mark.parametrize("limits", [(2, 100_000), (10, 5000)])
async def test_is_bounded_until_entries_are_answered(limits: tuple[int, int]) -> None:
    backlog = Backlog(*limits)
    entries = [entry(b"x" * 100) for _ in range(3)]
    assert [backlog.offer(one) for one in entries] == [True, True, False]
    assert len(backlog) == 2
    await backlog.gather(10)
    assert not backlog.offer(entries[2])  # being written is not answered
    backlog.forget(entries[0])
    assert backlog.offer(entries[2])


async def test_a_lone_entry_fits_whatever_its_size() -> None:
    assert Backlog(10, 1).offer(entry(b"x" * 100))


async def test_gives_up_what_is_past_its_deadline_and_gathers_it_no_more() -> None:
    backlog = Backlog(10, 100_000)
    late, early = entry(deadline=0), entry()
    for one in (late, early):
        backlog.offer(one)
    task = asyncio.create_task(backlog.give_up_in_time(every=0.01))
    assert await late.answer is Answer.UNAVAILABLE
    assert await backlog.gather(10) == [early]
    task.cancel()


async def test_closed_it_takes_no_more_and_ends_when_drained() -> None:
    backlog = Backlog(10, 100_000)
    last = entry()
    backlog.offer(last)
    backlog.close()
    assert not backlog.offer(entry())
    assert await backlog.gather(10, pause=600) == [last]
    assert await backlog.gather(10, pause=600) == []
