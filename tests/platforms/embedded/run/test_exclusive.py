import asyncio
from pathlib import Path
from typing import IO

import pytest

from closedloop.platforms.embedded.run import exclusive as locking
from closedloop.platforms.embedded.run.exclusive import exclusive


async def test_the_second_waits_for_the_first_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    refused = 0
    take = locking._take

    def taken(file: IO[str]) -> bool:
        nonlocal refused
        had = take(file)
        refused += not had
        return had

    monkeypatch.setattr(locking, "_take", taken)

    async def second() -> None:
        async with exclusive(tmp_path / "new" / "lock", lambda: said.append("waits")):
            said.append("has it")

    async with exclusive(tmp_path / "new" / "lock"):
        waiting = asyncio.create_task(second())
        while refused < 3:
            await asyncio.sleep(0.01)
        assert said == ["waits"]
    await waiting
    assert said == ["waits", "has it"]


async def test_it_is_free_again_when_its_holder_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with exclusive(tmp_path / "lock"):
            raise ZeroDivisionError
    async with exclusive(tmp_path / "lock", pytest.fail):
        pass
