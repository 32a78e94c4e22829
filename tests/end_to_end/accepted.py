"""What the broker accepted, read from its stream, and a plain recount of it.

The recount shares no code with what it judges: the newest answer and the newest
truth of each row, by `ce-time` and `ce-id`, and then a loop that counts.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import nats

from closedloop.platforms.embedded.broker.cloudevent import CloudEvent, from_message
from closedloop.platforms.embedded.broker.store import STREAM

_KINDS = {
    "io.seldon.serving.inference.request": "request",
    "io.seldon.serving.inference.response": "response",
    "io.seldon.serving.feedback": "feedback",
}
# As manifests/models/outputs.yaml declares both models: an answer has an index or one
# probability for each.
_CLASSES = ("setosa", "versicolor", "virginica")


@dataclass
class Score:
    """Right and wrong answers of one predictor, and those with a truth by (predicted, actual)."""

    right: int = 0
    wrong: int = 0
    cells: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass
class Accepted:
    """One event in the stream; `body` is None where it is no JSON object."""

    kind: str
    who: str  # deployment/predictor
    puid: str
    id: str
    stamp: tuple[str, str, str]
    body: dict[str, Any] | None
    raw: CloudEvent


class Stream:
    """Everything that the broker keeps, read once each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._read: list[Accepted] = []
        self._last = 0

    def events(self) -> list[Accepted]:
        """All events, in the order in which they were stored."""
        asyncio.run(self._catch_up())
        return self._read

    def size(self) -> int:
        """The bytes of all that is kept."""
        return asyncio.run(self._size())

    def undelivered(self) -> int:
        """How many events are still to be delivered, one counting for each trigger."""
        return asyncio.run(self._undelivered())

    async def _size(self) -> int:
        client = await nats.connect(self._url)
        try:
            return (await client.jetstream().stream_info(STREAM)).state.bytes
        finally:
            await client.close()

    async def _undelivered(self) -> int:
        client = await nats.connect(self._url)
        try:
            consumers = await client.jetstream().consumers_info(STREAM)
            return sum((one.num_pending or 0) + (one.num_ack_pending or 0) for one in consumers)
        finally:
            await client.close()

    async def _catch_up(self) -> None:
        client = await nats.connect(self._url)
        try:
            stream = client.jetstream()
            last = (await stream.stream_info(STREAM)).state.last_seq
            for sequence in range(self._last + 1, last + 1):
                message = await stream.get_msg(STREAM, sequence)
                self._read.append(_accepted(from_message(message.data or b"")))
                self._last = sequence
        finally:
            await client.close()


def scores(events: Iterable[Accepted]) -> dict[str, Score]:
    """The score of each `deployment/predictor` that has one, recounted from its events."""
    answers: dict[tuple[str, str], tuple[tuple[str, str, str], str]] = {}
    truths: dict[tuple[str, str], tuple[tuple[str, str, str], object, object]] = {}
    for event in events:
        for row, said in _rows(event):
            key = (event.who, row)
            if event.kind == "response":
                answers[key] = max(answers.get(key, (("",) * 3, "")), (event.stamp, said))
            elif event.kind == "feedback":
                truth = (event.stamp, said, (event.body or {}).get("reward", 0))
                truths[key] = max(
                    truths.get(key, (("",) * 3, "", 0)), truth, key=lambda one: one[0]
                )
    result: dict[str, Score] = {}
    for key in answers.keys() & truths.keys():
        _, predicted = answers[key]
        _, actual, reward = truths[key]
        right = predicted == actual if actual is not None else reward == 1
        score = result.setdefault(key[0], Score())
        score.right, score.wrong = score.right + right, score.wrong + (not right)
        if actual is not None:
            cell = (predicted, str(actual))
            score.cells[cell] = score.cells.get(cell, 0) + 1
    return result


def documents(event: Accepted) -> list[str]:
    """The documents, as `<index>/<id>`, that an event belongs in."""
    index = f"inference-log-seldon-seldon-{event.who.replace('/', '-')}"
    return [f"{index}/{row}" for row, _ in _rows(event)]


def counted(events: Iterable[Accepted]) -> Counter[str]:
    return Counter(event.kind for event in events)


def _rows(event: Accepted) -> Iterator[tuple[str, Any]]:
    """Document id and content of each row: what is asked, the class answered, the truth or None
    for a reward alone. What says nothing that counts has no rows."""
    body, puid = event.body or {}, event.puid
    try:
        if event.kind == "feedback":
            # Where the client gave no id, that of the answer which it quotes.
            puid = body.get("response", {}).get("meta", {}).get("puid", puid)
            if "truth" not in body:
                if type(body.get("reward", 0 if "response" in body else None)) in (int, float):
                    yield puid, None
                return
            body = body["truth"]
        rows = body["data"]["ndarray"]
    except (KeyError, TypeError, AttributeError):
        return
    if not isinstance(rows, list):
        return
    for number, row in enumerate(rows):
        one = row[0] if isinstance(row, list) and len(row) == 1 else row
        if event.kind == "feedback":
            if one not in (0, 1, 2) or isinstance(one, bool):
                continue
            one = _CLASSES[int(one)]
        elif event.kind == "response":
            one = _CLASSES[one.index(max(one)) if isinstance(one, list) else int(one)]
        yield puid if len(rows) == 1 else f"{puid}-item-{number}", one


def _accepted(event: CloudEvent) -> Accepted:
    said = event.attributes
    try:
        body = json.loads(event.body)
    except (ValueError, RecursionError):
        body = None
    moment, _, fraction = said.get("time", "").rstrip("Z").partition(".")
    return Accepted(
        _KINDS.get(said["type"], "unknown"),
        f"{said.get('inferenceservicename')}/{said.get('endpoint')}",
        said.get("requestid", ""),
        said["id"],
        (moment, fraction.ljust(9, "0"), said["id"]),
        body if isinstance(body, dict) else None,
        event,
    )
