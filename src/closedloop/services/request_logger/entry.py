"""One received event on its way to Elasticsearch, until it is answered."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum

from closedloop.loop.keys import Predictor
from closedloop.loop.observation import Observation
from closedloop.loop.sections import Section
from closedloop.services.request_logger.dead_letters import DeadLetter


class Answer(StrEnum):
    """The end of an event."""

    KEPT = "kept"  # in its index or as a dead letter, acknowledged by Elasticsearch
    UNAVAILABLE = "unavailable"  # Elasticsearch did not take it in time
    REFUSED = "refused"  # Elasticsearch does not even take it as a dead letter


class Entry:
    """An event and its sections that are still to be written, or its dead letter.

    `observation` is the event, unless it is refused; `index` is where its documents are, and
    `names` their owner: namespace, deployment, predictor. `sections` are empty until it is known
    which documents these are. `received` and `deadline` are readings of the event loop's clock.
    `answer` is set once: when everything is written, or when that is given up.
    """

    __slots__ = (
        "_left",
        "answer",
        "body",
        "dead_letter",
        "deadline",
        "headers",
        "index",
        "names",
        "observation",
        "received",
        "sections",
    )  # fmt: skip

    def __init__(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        names: tuple[str, str, str],
        received: float,
        deadline: float,
        answer: "asyncio.Future[Answer]",
        index: str = "",
        observation: Observation | None = None,
        sections: list[Section] | None = None,
        dead_letter: DeadLetter | None = None,
    ) -> None:
        self.headers = headers
        self.names = names
        self.body = body
        self.index = index
        self.observation = observation
        self.sections = sections or []
        self.dead_letter = dead_letter
        self.received = received
        self.deadline = deadline
        self.answer = answer
        self._left = len(self.sections) + (dead_letter is not None)

    @property
    def size(self) -> int:
        """The estimated bytes of memory: the body, as bytes and parsed, and sections."""
        rows = 1 if self.observation is None else self.observation.entries
        return 8 * len(self.body) + 1500 * rows

    @property
    def owner(self) -> Predictor:
        return Predictor(*self.names)

    @property
    def request_id(self) -> str:
        """The request that an accepted event is about."""
        assert self.observation is not None
        return self.observation.event.request_id

    def place(self, sections: list[Section]) -> None:
        """Say which documents it adds to."""
        self.sections = sections
        self._left += len(sections)

    @property
    def settled(self) -> bool:
        return self.answer.done()

    def wrote_one(self) -> bool:
        """Note that a section of it, or its dead letter, is written; whether it was the last."""
        self._left -= 1
        return not self._left

    def acknowledge(self) -> None:
        """All of it is written."""
        self.settle(Answer.KEPT)

    def settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)
