"""A declaration that comes, changes or goes, in the services that run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from closedloop.log import audit_trail, evaluate
from closedloop.log.mapping import OUTPUTS, declared_outputs
from closedloop.loop import events
from closedloop.loop.events import Event
from closedloop.loop.keys import index_name
from closedloop.loop.output import read_output
from tests.services.metrics_server.running import MetricsServer, event, running_server
from tests.services.request_logger.running import Logger, running_logger

PETS = ("seldon", "pets", "default")
INDEX = index_name(*PETS)
CLASSES = "seldon/pets/*: {kind: class, classes: [cat, dog], truth: index}"
REGRESSION = "seldon/pets/*: {kind: regression, tolerance: 0.5}"


def said(request_id: str, answer: float, truth: object) -> list[Event]:
    return [
        event(events.RESPONSE, {"data": {"ndarray": [answer]}}, request_id),
        event(events.FEEDBACK, {"truth": {"data": {"ndarray": [truth]}}}, request_id, second=1),
    ]


@pytest.fixture
async def services(url: str, tmp_path: Path) -> AsyncIterator[tuple[Logger, MetricsServer]]:
    folder = {"model_outputs": str(tmp_path)}
    async with (
        running_logger(url, **folder) as logger,
        running_server(url, resync_seconds=1.0, **folder) as server,
    ):
        await server.until_ready()
        yield logger, server


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_a_declaration_that_changes_scores_the_past_again(
    services: tuple[Logger, MetricsServer], search: Elasticsearch, tmp_path: Path
) -> None:
    logger, server = services
    for one in (*said("r", 1.0, 1), *said("s", 0.0, 1), *said("t", 0.5, 0)):
        assert await logger.send(one) == 202
        assert await server.send(one) == [202]
    assert server.of_pets("unscorable_rows", reason="undeclared_number") == 3

    def score(request_id: str) -> dict[str, Any]:
        found: dict[str, Any] = search.get(index=INDEX, id=request_id)["_source"]["score"]
        return found

    (tmp_path / "outputs.yaml").write_text(CLASSES)
    output = read_output({"kind": "class", "classes": ["cat", "dog"], "truth": "index"})
    await until(lambda: score("t").get("output") == output.digest)
    assert score("t")["reason"] == "answer_unknown_class"
    (tmp_path / "outputs.yaml").write_text(REGRESSION)
    output = read_output({"kind": "regression", "tolerance": 0.5})
    await until(lambda: all(score(each).get("output") == output.digest for each in "rst"))
    assert (score("s")["error"], score("s")["correct"]) == (-1.0, False)
    await until(lambda: server.of_pets("mean_absolute_error") == 0.5)
    assert server.of_pets("within_tolerance") == 2 / 3
    assert server.of_pets("bias") == pytest.approx(-0.5 / 3)
    await until(lambda: server.of_pets("replay_mismatch") == 0)

    # Evaluation reads the declaration that the logger wrote down.
    search.indices.refresh(index="*")
    assert declared_outputs(search).of(PETS) == output
    written = search.get(index=OUTPUTS, id="seldon/pets/*")["_source"]
    assert (written["digest"], written["output"]) == (output.digest, output.said())
    assert [each.correct for each in audit_trail(search, *PETS, "s")] == [False]
    assert evaluate(search, *PETS).correct == 2

    # A file that cannot be read changes nothing, and is seen.
    (tmp_path / "outputs.yaml").write_text("{")
    await until(lambda: server.sample("declarations_invalid") == 1)
    assert server.of_pets("mean_absolute_error") == 0.5

    # Without a declaration nothing of it is certain again.
    (tmp_path / "outputs.yaml").unlink()
    await until(lambda: score("s").get("reason") == "undeclared_number")
    assert "output" not in score("s")
    await until(lambda: server.of_pets("unscorable_rows", reason="undeclared_number") == 3)
    await until(lambda: not search.exists(index=OUTPUTS, id="seldon/pets/*"))
