"""The executor in front of Seldon's real wrapper; its own client is in `tests/end_to_end`."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from closedloop.loop import events
from closedloop.loop.observation import read_event
from closedloop.loop.sections import sections_of
from tests.models.wrapper import FLOWERS, Wrapper, wrapper
from tests.platforms.embedded.executor.rig import Rig, rig

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def model(model_python: Path) -> Iterator[Wrapper]:
    with wrapper(model_python) as running:
        yield running


@pytest.fixture
async def running(model: Wrapper) -> AsyncIterator[Rig]:
    async with rig(model_url=model.url) as rigged:
        yield rigged


async def test_the_logged_answer_states_the_class_that_was_served(running: Rig) -> None:
    body = json.dumps({"data": {"ndarray": list(FLOWERS)}}).encode()
    headers = {"Content-Type": "application/json", "Seldon-Puid": "batch"}
    async with running.client.post("/api/v1.0/predictions", data=body, headers=headers) as response:
        served = (await response.json())["data"]["ndarray"]
    got = {one.headers["ce-type"]: one for one in await running.sink.wait(2)}
    logged = got[events.RESPONSE]
    parts = sections_of(read_event(logged.headers, logged.body))
    assert [part.document_id for part in parts] == [f"batch-item-{i}" for i in range(3)]
    assert [part.content["instance"] for part in parts] == served == [0, 1, 2]


async def test_feedback_through_the_executor_is_joined_by_its_puid(
    running: Rig, model: Wrapper
) -> None:
    correct, incorrect = model.value("correct"), model.value("incorrect")
    headers = {"Seldon-Puid": "joined"}
    predict = {"data": {"ndarray": [FLOWERS[0]]}}
    async with running.client.post("/api/v1.0/predictions", json=predict, headers=headers):
        pass
    for truth in (1, 1, 0):
        judged = {"truth": {"data": {"ndarray": [truth]}}}
        async with running.client.post(
            "/api/v1.0/feedback", json=judged, headers=headers
        ) as response:
            assert response.status == 200
    assert await asyncio.to_thread(model.value, "correct") == correct + 1
    assert await asyncio.to_thread(model.value, "incorrect") == incorrect


async def test_errors_of_the_wrapper_come_through(running: Rig) -> None:
    async with running.client.post("/api/v1.0/predictions", json={}) as response:
        assert response.status == 400
        said = json.loads(await response.read())
    assert said["status"]["reason"] == "MICROSERVICE_BAD_DATA"
    async with running.client.post("/api/v1.0/feedback", data=b"{", headers=JSON) as response:
        assert (response.status, json.loads(await response.read())["status"]["info"]) == (
            400,
            "Can't find JSON in data",
        )


JSON = {"Content-Type": "application/json"}
