"""The executor in front of Seldon's real wrapper, called by Seldon's own client."""

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

# Runs in the model servers' environment, where the client lives.
CLIENT = """
import json, sys
import numpy as np
from seldon_core.seldon_client import SeldonClient

client = SeldonClient(
    gateway="istio", transport="rest", gateway_endpoint=sys.argv[1], namespace="ns",
    deployment_name="iris", payload_type="ndarray", client_return_type="proto",
)
answer = client.predict(data=np.array(json.loads(sys.argv[2])), gateway_prefix="")
assert answer.success, answer.msg
judged = client.feedback(
    answer.request, answer.response, answer.response, reward=1.0, gateway_prefix=""
)
assert judged.success, judged.msg
print(json.dumps([v for v in answer.response.data.ndarray]))
refused = client.predict(data=np.array([[1.0]]), gateway_prefix="")
assert not refused.success
print(refused.msg)
"""


@pytest.fixture(scope="module")
def model(model_python: Path) -> Iterator[Wrapper]:
    with wrapper(model_python) as running:
        yield running


@pytest.fixture
async def running(model: Wrapper) -> AsyncIterator[Rig]:
    async with rig(model_url=model.url) as rigged:
        yield rigged


async def test_the_real_client_predicts_and_gives_feedback(
    running: Rig, model: Wrapper, model_python: Path
) -> None:
    before = model.value("correct")
    process = await asyncio.create_subprocess_exec(
        model_python,
        "-W",
        "ignore",
        "-c",
        CLIENT,
        f"127.0.0.1:{running.settings.port}",
        json.dumps(FLOWERS[:1]),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert said.decode().splitlines() == ["[0.0]", "400:Bad Request"]
    assert await asyncio.to_thread(model.value, "correct") == before + 1
    await running.stopped()
    types = sorted(got.headers["ce-type"] for got in running.sink.got)
    expected = [events.REQUEST, events.REQUEST, events.RESPONSE, events.FEEDBACK]
    assert types == sorted(expected)


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
