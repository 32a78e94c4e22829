import asyncio

from closedloop.platforms.embedded.run.running import Changes


async def test_waiting_ends_with_the_next_change_only() -> None:
    changes = Changes()
    seen = await changes.after(-1)
    waiting = asyncio.create_task(changes.after(seen))
    await asyncio.sleep(0)
    assert not waiting.done()
    changes.mark()
    assert await waiting == seen + 1


async def test_change_that_came_before_the_wait_is_not_missed() -> None:
    changes = Changes()
    seen = changes.count
    changes.mark()
    changes.mark()
    assert await changes.after(seen) == 2
