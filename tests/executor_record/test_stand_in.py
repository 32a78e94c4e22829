"""Our stand-in for Seldon's executor answers and posts what the real one did."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from closedloop.platforms.embedded.parts.model_environment import trained_models
from tests.executor_record.record import MODEL, WHO, calls, recorded, replay
from tests.executor_record.sink import told
from tests.models.wrapper import wrapper
from tests.platforms.embedded.executor.rig import rig

pytestmark = pytest.mark.embedded

RECORDED = recorded()


@pytest.fixture(scope="module")
def came(model_python: Path) -> Iterator[dict[str, Any]]:
    """What the stand-in made of every call."""
    folder = asyncio.run(trained_models(model_python))
    parameters: dict[str, str | bool] = {"model_uri": str(folder), "method": MODEL["method"]}
    with wrapper(model_python, MODEL["class"], parameters) as model:
        yield asyncio.run(_replayed(model.url))


async def _replayed(model: str) -> dict[str, Any]:
    wanted = {name: len(one.get("events", [])) for name, one in RECORDED.items()}
    who = WHO["deployment"], WHO["namespace"]
    async with rig(model_url=model, deployment_name=who[0], deployment_namespace=who[1]) as running:
        url = f"http://127.0.0.1:{running.settings.port}"
        got = running.sink.got
        return await asyncio.to_thread(
            replay, url, lambda: [told(one.headers, one.body) for one in [*got]], wanted
        )


def test_every_call_was_recorded() -> None:
    assert [call.name for call in calls()] == list(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_the_stand_in_does_what_the_real_executor_did(name: str, came: dict[str, Any]) -> None:
    assert came[name] == RECORDED[name]
