"""Three times the capacity of the whole loop for half a minute, by callers that do not wait.

Each is answered: 200, and then it is counted, or 429 or 503. The run fails where one has another
answer or none, where broker, log and metrics server do not agree on what was accepted, or where an
answer is neither in the log nor among the events that the executor says it lost: as Seldon's does,
it goes on answering when its queue is full (`EventsLost` is the alert).
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bench.soak import platform
from closedloop.loop.events import PUID_HEADER
from tests.end_to_end.loop import FLOWERS, Loop

BY_NAME_ONLY = True
_PATIENCE = 120.0  # a caller's
_CALLERS = 50


def run(seconds: float = 30.0) -> dict[str, float]:
    """Rates are in predictions a second, times in seconds. Raises RuntimeError as said above."""
    with (
        tempfile.TemporaryDirectory(prefix="closedloop-overload-") as folder,
        platform(Path(folder), faked=False) as (loop, _),
    ):
        full = asyncio.run(_capacity(loop.model()))
        lost = -_lost(loop)
        calm = statistics.median(_one_by_one(loop, "calm", 30))
        statuses, waited = asyncio.run(_overload(loop.model(), 3 * full, seconds))
        begun = time.monotonic()
        while statistics.median(_one_by_one(loop, "after", 5)) > 2 * calm:
            pass  # until an answer takes at most twice as long as before
        recovered = time.monotonic() - begun
        loop.settle(patience=600)
        lost += _lost(loop)
        logged = sum("response" in document for document in loop.logged("over-").values())
    if bad := statuses.keys() - {200, 429, 503}:
        raise RuntimeError(f"answered otherwise or not at all: { ({k: statuses[k] for k in bad}) }")
    if logged + lost < statuses[200]:
        raise RuntimeError(
            f"{statuses[200]} were answered, {logged} are in the log and {lost} known to be lost"
        )
    return {
        "capacity": full,
        "offered": 3 * full,
        "accepted_share": statuses[200] / statuses.total(),
        "answers_lost_by_the_executor": lost,
        "refused_429": statuses[429],
        "refused_503": statuses[503],
        "longest_wait": waited,
        "recovered_after": recovered,
    }


def _lost(loop: Loop) -> int:
    """Answers whose event the executor could not hand on."""
    return loop.executor_counts("dropped", "failed")["response"]


async def _capacity(url: str, seconds: float = 15.0) -> float:
    """Predictions a second, from as many callers as keep it busy, each of whom waits."""
    begun, count = time.monotonic(), 0

    async def keep_calling(caller: Caller, number: int) -> None:
        nonlocal count
        while time.monotonic() < begun + seconds:
            status = await caller.predict(f"full-{number}-{count}")
            count += status == 200  # not across the await: others count meanwhile

    async with calling(url) as caller:
        await asyncio.gather(*(keep_calling(caller, number) for number in range(_CALLERS)))
    return count / (time.monotonic() - begun)


async def _overload(url: str, rate: float, seconds: float) -> tuple[Counter[int], float]:
    """(answers by status, 0 for none; the longest wait for one)."""
    statuses: Counter[int] = Counter()
    longest = 0.0

    async def one(caller: Caller, i: int) -> None:
        nonlocal longest
        begun = time.monotonic()
        statuses[await caller.predict(f"over-{i}")] += 1
        longest = max(longest, time.monotonic() - begun)

    async with calling(url) as caller, asyncio.TaskGroup() as group:
        begun = time.monotonic()
        for i in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + i / rate - time.monotonic()))
            group.create_task(one(caller, i))
    return statuses, longest


class Caller:
    """Connections to a model, as many as there are calls under way."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = f"{url}/api/v1.0/predictions"
        self._session = session

    async def predict(self, puid: str) -> int:
        """The status of one prediction, 0 where no answer came."""
        body = {"data": {"ndarray": FLOWERS[:1]}}
        headers = {PUID_HEADER: puid}
        try:
            async with self._session.post(self._url, json=body, headers=headers) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """A caller that waits patiently."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Caller(url, session)


def _one_by_one(loop: Loop, name: str, number: int) -> list[float]:
    """Seconds that each of so many predictions takes."""
    taken = []
    for i in range(number):
        begun = time.perf_counter()
        loop.predict(f"{name}-{i}-{begun}")
        taken.append(time.perf_counter() - begun)
    return taken
