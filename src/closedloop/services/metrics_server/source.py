"""The source of the counts, by the setting SOURCE: one interface, whatever stands behind it."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Protocol

from prometheus_client.core import Metric

from closedloop.loop.keys import Predictor
from closedloop.loop.observation import Observation
from closedloop.loop.scoring.counts import Counts
from closedloop.loop.scoring.row import Outcome


class Ignored(StrEnum):
    """The outcome of an event that changes no row held here."""

    IGNORED = "ignored"  # a request, or of a predictor that the filter leaves out
    EXPIRED = "expired"  # older than the rows that are kept


class Unavailable(Exception):
    """The source takes no event now: answer 503, so that the broker sends it again.

    The message says why, and the remedy.
    """


class Source(Protocol):
    """Counts of each predictor, from the events that come or from the log."""

    def observe(self, observation: Observation) -> Outcome | Ignored:
        """Take an event in.

        Raises `InvalidEvent` for one that cannot be used, `Unavailable` while none is taken.
        """

    def counted(self) -> Mapping[Predictor, Counts] | None:
        """The counts to show, at the moment of a scrape; None until they were whole once, as half
        a state would show as a dip."""

    def gauges(self) -> Iterator[Metric]:
        """The source's own gauges, at the moment of a scrape; `closedloop_state_complete` is 0
        while `counted` is not all that is known, and absent until it was once."""

    def why_not_ready(self) -> str | None:
        """The reason why the source is not ready, None when it is."""

    async def run(self) -> None:
        """Keep the counts up to date until cancelled, and leave nothing open."""
