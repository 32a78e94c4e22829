"""One received event on its way to Elasticsearch, until it is answered."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from closedloop.loop.keys import Predictor, index_name
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
    `owner` the predictor that they are of. `sections` are empty until it is known which documents
    these are. `received` and `deadline` are readings of `time.monotonic`, `size` the estimated
    bytes of memory. `answered` is called once: when everything is written, or when that is given
    up.
    """

    __slots__ = (
        "_answered",
        "_left",
        "body",
        "dead_letter",
        "deadline",
        "headers",
        "index",
        "observation",
        "owner",
        "received",
        "sections",
        "settled",
        "size",
    )  # fmt: skip

    def __init__(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        owner: Predictor,
        received: float,
        deadline: float,
        answered: "Callable[[Entry, Answer], None]",
        observation: Observation | None = None,
        sections: list[Section] | None = None,
        dead_letter: DeadLetter | None = None,
    ) -> None:
        self.headers = headers
        self.owner = owner
        self.body = body
        self.index = index_name(*owner)
        self.observation = observation
        self.sections = sections or []
        self.dead_letter = dead_letter
        self.received = received
        self.deadline = deadline
        self.settled = False
        # The body, as bytes and parsed, and sections.
        self.size = 8 * len(body) + 1500 * (1 if observation is None else observation.entries)
        self._answered = answered
        self._left = len(self.sections) + (dead_letter is not None)

    @property
    def request_id(self) -> str:
        """The request that an accepted event is about."""
        assert self.observation is not None
        return self.observation.event.request_id

    def place(self, sections: list[Section]) -> None:
        """Say which documents it adds to."""
        self.sections = sections
        self._left += len(sections)

    def wrote_one(self) -> bool:
        """Note that a section of it, or its dead letter, is written; whether it was the last."""
        self._left -= 1
        return not self._left

    def acknowledge(self) -> None:
        """All of it is written."""
        self.settle(Answer.KEPT)

    def settle(self, answer: Answer) -> None:
        if not self.settled:
            self.settled = True
            self._answered(self, answer)
