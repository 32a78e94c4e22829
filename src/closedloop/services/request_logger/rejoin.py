"""Brings feedback to the answer it is about, where that was not known when it came.

Feedback with several entries waits under the request's own id until the answer tells whether
they are its rows. Feedback whose call a canary's weights sent to another predictor than the one
that answered is lent to that one: it stays where it came, marked with to whom, and counts there.
Should its own answer come after all, it is taken back.

Everything here may be done twice, or by two loggers at once: sections are merged by their time,
and a document is only replaced as it was read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from closedloop.log.operations import delete, logged, put
from closedloop.log.store import UNREADABLE, End, Held, Place
from closedloop.log.templates import UNAVAILABLE
from closedloop.loop.documents import scored
from closedloop.loop.keys import Predictor, document_id
from closedloop.loop.output import Output
from closedloop.loop.sections import LENT_TO, Document, Section, lent, stamp_of
from closedloop.services.request_logger.answers import ANSWER_FIELDS, answer_sizes
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.store import Store
from closedloop.services.request_logger.waiting import (
    Waiting,
    age_of,
    answer_of,
    merged,
    sections_for,
    waiting_among,
    without_loans,
)

_EVERY = 2.0
_WITHIN = 600.0  # feedback that waits longer was looked at often; an hourly look finds the rest
_EVERYTHING = 3600.0
_MOST = 500
_MOST_OF_EVERYTHING = 10_000
OWN_ANSWER_SECONDS = 30.0
"""For so long the predictor's own answer may still come before feedback is lent."""
About = tuple[Predictor, str]
"""Predictor and request id."""

_log = structlog.get_logger(__name__)


class Rejoin:
    """The task that looks for such feedback, all the time.

    `own_answer` is how many seconds feedback waits for its predictor's own answer.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        output_of: Callable[[Predictor], Output | None],
        own_answer: float = OWN_ANSWER_SECONDS,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._output_of = output_of
        self._own_answer = own_answer
        self._hinted: set[About] = set()

    def hint(self, answered: Iterable[About]) -> None:
        """Have these requests looked at soon: an answer came that feedback may wait for."""
        if len(self._hinted) < 10 * _MOST:
            self._hinted.update(answered)

    async def run(self) -> None:
        """Look again and again, for ever."""
        everything = 0.0
        while True:
            await asyncio.sleep(_EVERY)
            try:
                now = time.time()
                whole = now - everything > _EVERYTHING
                await self.look(None if whole else now - _WITHIN)
                everything = now if whole else everything
            except UNAVAILABLE as error:
                _log.warning("feedback was not rejoined, trying again", error=str(error))
            except Exception:  # noqa: BLE001 - the next look may succeed
                _log.exception("feedback was not rejoined, trying again")

    async def look(self, since: float | None = None) -> None:
        """Bring hinted requests, and feedback that waits since a moment, in seconds of the epoch.

        Raises one of `templates.UNAVAILABLE`.
        """
        hinted, self._hinted = self._hinted, set()
        found = await self._store.waiting(since, _MOST if since else _MOST_OF_EVERYTHING)
        for keys in self._store.portions(found):
            known = (await self._store.read(keys)).documents
            await self._bring(waiting_among(Held(*item) for item in known.items()))
        places = [(owner, document_id(request_id, 0, 1)) for owner, request_id in hinted]
        for some in self._store.portions(places):
            await self._bring(waiting_among((await self._store.find(some)).values()))

    async def _bring(self, waiting: list[Waiting]) -> None:
        if not waiting:
            return
        siblings: dict[tuple[str, str], list[Predictor]] = {}
        for name in {each.owner[:2] for each in waiting}:
            siblings[name] = await self._store.predictors(*name)
        asked: dict[int, list[Predictor]] = {}
        places: set[Place] = set()
        for i, each in enumerate(waiting):
            asked[i] = [each.owner]
            if not each.answered and age_of(each.known.source) >= self._own_answer:
                asked[i] = list(dict.fromkeys([each.owner, *siblings[each.owner[:2]]]))
            for owner in asked[i]:
                places |= {(owner, document_id(each.request_id, 0, size)) for size in (1, 2)}
        held = await self._store.find(places, ANSWER_FIELDS)
        for i, each in enumerate(waiting):
            try:
                await self._rejoin(each, asked[i], held)
            except UNREADABLE as error:
                _log.warning("feedback cannot be rejoined", key=each.key, error=str(error))

    async def _rejoin(
        self, waiting: Waiting, asked: list[Predictor], held: Mapping[Place, Held]
    ) -> None:
        own, *others = (answer_of(owner, waiting.request_id, held) for owner in asked)
        if own.sizes or waiting.answered:
            await self._take_back(waiting)
            gone = [each for each in waiting.versions if each.get("rows", 1) in own.sizes]
            sections = [section for each in gone for section in sections_for(waiting, each, own)]
            if await self._add(sections):
                await self._leave(waiting, gone, own.sizes)
            return
        answered = [each for each in others if each.sizes or each.lone]
        names = [each.owner.predictor for each in answered]
        if not answered or all(each.get(LENT_TO) == names for each in waiting.versions):
            return
        sections = [
            lent(section, answer.owner)
            for answer in answered
            for each in waiting.versions
            for section in sections_for(waiting, each, answer)
        ]
        if await self._add(sections):
            document = {**waiting.known.source}
            *earlier, document["feedback"] = ({**each, LENT_TO: names} for each in waiting.versions)
            if earlier:
                document["feedback_history"] = earlier
            if await self._replace(waiting, document):
                self._metrics.rejoined.inc(len(waiting.versions))

    async def _take_back(self, waiting: Waiting) -> None:
        """Remove the feedback that was lent to others before its own answer came."""
        for borrower in sorted(waiting.borrowers):
            owner = Predictor(*waiting.owner[:2], borrower)
            lone, first = (document_id(waiting.request_id, 0, size) for size in (1, 2))
            place = owner, first
            known = (await self._store.find([place], ANSWER_FIELDS))[place].known
            rows = range(max(answer_sizes(known, owner), default=0))
            names = {lone, first, *(document_id(waiting.request_id, row, 2) for row in rows)}
            output = self._output_of(owner)
            change = partial(without_loans, waiting.owner, output)
            await self._store.merge({(owner, name): change for name in names})

    async def _add(self, sections: list[Section]) -> bool:
        """Merge sections into documents; whether all of them are there now."""
        by_place: dict[Place, list[Section]] = {}
        for section in sections:
            by_place.setdefault((section.owner, section.document_id), []).append(section)
        ended = await self._store.merge(
            {place: partial(merged, each, self._output_of) for place, each in by_place.items()}
        )
        for place, each in ended.items():
            if each.how is End.REFUSED:
                _log.warning("feedback cannot be rejoined", place=place, error=each.error)
        return all(each.there for each in ended.values())

    async def _leave(self, waiting: Waiting, gone: list[Document], sizes: frozenset[int]) -> None:
        """Take feedback that was brought to its answer out of the document where it waited."""
        rest = [
            {name: value for name, value in each.items() if name != LENT_TO}
            for each in waiting.versions
            if each not in gone
        ]
        document = {
            name: value
            for name, value in waiting.known.source.items()
            if name not in ("feedback", "feedback_history")
        }
        if rest:
            *earlier, latest = sorted(rest, key=stamp_of)
            if sizes:
                latest = {**latest, "answer_rows": max(sizes)}
            document["feedback"] = latest
            if earlier:
                document["feedback_history"] = earlier
        if await self._replace(waiting, document):
            self._metrics.rejoined.inc(len(gone))

    async def _replace(self, waiting: Waiting, document: Document) -> bool:
        if document == waiting.known.source:
            return False
        key, known = waiting.key, waiting.known
        if "feedback" in document or "request" in document or waiting.answered:
            document = scored(document, self._output_of(waiting.owner))
            operation = put(key, known, logged(key, document))
        else:
            operation = delete(key, known)
        (result,) = await self._store.write([operation])
        return result.written
