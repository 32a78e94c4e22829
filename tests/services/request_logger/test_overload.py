"""More than the logger can take: each event is kept or given back, and none is left hanging."""

import asyncio
from collections import Counter

from closedloop.loop import events
from tests.elasticsearch import SearchServer
from tests.services.request_logger.running import (
    ANSWER,
    Logger,
    documents,
    event,
    log_of,
    running_logger,
)

ROOM, SENDERS, EACH = 30, 120, 8


async def test_what_is_accepted_is_kept_and_the_rest_is_given_back(
    server: SearchServer, deployment: str
) -> None:
    # Little room, and few events a write: four times as many senders as there is room for. No event
    # is given up in time, which on a loaded machine may be after it was written.
    few = {"queue_events": ROOM, "batch_events": 5}
    async with running_logger(server.url, **few) as logger:
        await logger.ready()
        statuses: Counter[int] = Counter()
        accepted: set[str] = set()

        async def sender(number: int) -> None:
            for i in range(EACH):
                status = await send(logger, name := f"{number}-{i}", deployment)
                statuses[status] += 1
                if status == 202:
                    accepted.add(name)

        async with asyncio.timeout(120):
            await asyncio.gather(*(sender(number) for number in range(SENDERS)))
        assert statuses.total() == SENDERS * EACH
        assert statuses.keys() == {202, 503}
        # The backlog holds none of what was refused: the next is kept at the first try.
        assert await send(logger, "after", deployment) == 202
        kept = await documents(server.url, log_of(deployment), size=10_000)
        assert {name for name in kept if name != "after"} == accepted


async def send(logger: Logger, request_id: str, deployment: str) -> int:
    """Send an answer; the status."""
    said = event(events.RESPONSE, ANSWER, request_id, deployment=deployment)
    async with logger.client.post("/", headers=said.headers(), data=said.body) as answer:
        await answer.read()
        return answer.status
