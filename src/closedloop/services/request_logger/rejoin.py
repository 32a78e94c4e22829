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
from dataclasses import dataclass
from typing import cast

import structlog

from closedloop.log.templates import UNAVAILABLE
from closedloop.loop import rfc3339
from closedloop.loop.documents import merge, read_document, scored
from closedloop.loop.keys import Predictor, document_id, index_name, kept_apart
from closedloop.loop.output import Output
from closedloop.loop.parts import (
    LENT_TO,
    Document,
    Part,
    lent,
    predictor_of,
    stamp_of,
)
from closedloop.services.request_logger.batch import answer_sizes, fitting
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.operations import (
    Key,
    Known,
    Operation,
    create,
    delete,
    replace,
)
from closedloop.services.request_logger.store import Store

_EVERY = 2.0
_WITHIN = 600.0  # feedback that waits longer was looked at often; an hourly look finds the rest
_EVERYTHING = 3600.0
_MOST = 500
_MOST_OF_EVERYTHING = 10_000
OWN_ANSWER_SECONDS = 30.0
"""For so long the predictor's own answer may still come before feedback is lent."""
_COMMON = (
    "ServingEngine", "Ce-Namespace", "Ce-Inferenceservicename", "Ce-Endpoint", "Ce-Modelid",
    "RequestId",
)  # fmt: skip
# What a document that another writer began may lack, or have of another shape.
_UNREADABLE = (ValueError, KeyError, TypeError)

_Place = tuple[Predictor, str]  # whose document, and its id unless it is kept apart
About = tuple[Predictor, str]
"""Predictor and request id."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """A document where it is; `known` is None for one that is to be created there."""

    key: Key
    known: Known | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Feedback under a request's own id, with or without an answer there."""

    owner: Predictor
    request_id: str
    key: Key
    known: Known
    answered: bool

    @property
    def latest(self) -> Document:
        return cast(Document, self.known.source["feedback"])

    @property
    def versions(self) -> list[Document]:
        earlier = self.known.source.get("feedback_history")
        history = cast(list[Document], earlier) if isinstance(earlier, list) else []
        return [*history, self.latest]


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
        """For ever."""
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
            except Exception:  # noqa: BLE001 - whatever one look met, the next may succeed
                _log.exception("feedback was not rejoined, trying again")

    async def look(self, since: float | None = None) -> None:
        """Once: what was hinted, and what waits since a moment, in seconds since the epoch.

        Raises one of `index_templates.UNAVAILABLE`.
        """
        hinted, self._hinted = self._hinted, set()
        found = await self._store.waiting(since, _MOST if since else _MOST_OF_EVERYTHING)
        for i in range(0, len(found), _MOST):
            known = (await self._store.read(found[i : i + _MOST])).documents
            await self._bring(_waiting(_Held(*item) for item in known.items()))
        places = [(owner, document_id(request_id, 0, 1)) for owner, request_id in hinted]
        await self._bring(_waiting((await self._find(places)).values()))

    async def _bring(self, waiting: list[_Waiting]) -> None:
        if not waiting:
            return
        siblings: dict[tuple[str, str], list[Predictor]] = {}
        for name in {each.owner[:2] for each in waiting}:
            siblings[name] = await self._store.predictors(*name)
        asked: dict[int, list[Predictor]] = {}
        places: set[_Place] = set()
        for i, each in enumerate(waiting):
            asked[i] = [each.owner]
            if not each.answered and _age(each.known.source) >= self._own_answer:
                asked[i] = list(dict.fromkeys([each.owner, *siblings[each.owner[:2]]]))
            for owner in asked[i]:
                places |= {(owner, document_id(each.request_id, 0, size)) for size in (1, 2)}
        held = await self._find(places)
        for i, each in enumerate(waiting):
            try:
                await self._rejoin(each, asked[i], held)
            except _UNREADABLE as error:
                _log.warning("feedback cannot be rejoined", key=each.key, error=str(error))

    async def _rejoin(
        self, waiting: _Waiting, asked: list[Predictor], held: Mapping[_Place, _Held]
    ) -> None:
        own, *others = (_answer_of(owner, waiting.request_id, held) for owner in asked)
        if own.sizes or waiting.answered:
            await self._take_back(waiting)
            gone = [each for each in waiting.versions if each.get("rows", 1) in own.sizes]
            parts = [part for each in gone for part in _parts(waiting, each, own)]
            if await self._add(parts):
                await self._leave(waiting, gone, own.sizes)
            return
        answered = [each for each in others if each.sizes or each.lone]
        names = [each.owner.predictor for each in answered]
        if not answered or waiting.latest.get(LENT_TO) == names:
            return
        parts = [
            lent(part, answer.owner)
            for answer in answered
            for each in waiting.versions
            for part in _parts(waiting, each, answer)
        ]
        if await self._add(parts):
            document = {**waiting.known.source}
            document["feedback"] = {**waiting.latest, LENT_TO: names}
            if await self._replace(waiting, document):
                self._metrics.rejoined.inc(len(waiting.versions))

    async def _take_back(self, waiting: _Waiting) -> None:
        """Remove what was lent to others before its own answer came."""
        names = waiting.latest.get(LENT_TO)
        for name in names if isinstance(names, list) else ():
            owner = Predictor(*waiting.owner[:2], str(name))
            lone, first = (document_id(waiting.request_id, 0, size) for size in (1, 2))
            found = await self._find([(owner, lone), (owner, first)])
            known = found[owner, first].known
            rows = range(max(answer_sizes(known, owner), default=0))
            found |= await self._find(
                [(owner, document_id(waiting.request_id, row, 2)) for row in rows]
            )
            output = self._output_of(owner)
            await self._store.write(
                [
                    replace(each.key, each.known, scored(without, output), 1)
                    for each in found.values()
                    if each.known is not None
                    and (without := _without(each.known.source, waiting.owner)) is not None
                ]
            )

    async def _add(self, parts: list[Part]) -> bool:
        """Merge parts into documents; whether all of them are there now."""
        by_place: dict[_Place, list[Part]] = {}
        for part in parts:
            by_place.setdefault((part.owner, part.document_id), []).append(part)
        if not by_place:
            return True
        operations: list[Operation] = []
        for place, held in (await self._find(by_place)).items():
            known = held.known
            document = known.source if known else None
            for part in by_place[place]:
                document, _ = merge(document, part, self._output_of(part.owner))
            assert document is not None
            if known is None:
                operations.append(create(held.key, document))
            elif document != known.source:
                operations.append(replace(held.key, known, document, 1))
        results = await self._store.write(operations) if operations else []
        return all(result.status < 300 for result in results)

    async def _leave(self, waiting: _Waiting, gone: list[Document], sizes: frozenset[int]) -> None:
        """Take what was brought to its answer out of the document where it waited."""
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

    async def _replace(self, waiting: _Waiting, document: Document) -> bool:
        if document == waiting.known.source:
            return False
        if "feedback" in document or "request" in document or waiting.answered:
            output = self._output_of(waiting.owner)
            operation = replace(waiting.key, waiting.known, scored(document, output), 1)
        else:
            operation = delete(waiting.key, waiting.known)
        (result,) = await self._store.write([operation])
        return result.status < 300

    async def _find(self, places: Iterable[_Place]) -> dict[_Place, _Held]:
        """Each document, where it is or would be: under its id, or apart of another owner's."""
        asked = list(dict.fromkeys(places))
        found: dict[_Place, _Held] = {}
        for plain in (True, False):
            keys = {
                place: (
                    index_name(*place[0]),
                    place[1] if plain else kept_apart(place[1], place[0]),
                )
                for place in asked
                if place not in found
            }
            if not keys:
                break
            known = (await self._store.read(list(dict.fromkeys(keys.values())))).documents
            for place, key in keys.items():
                held = known.get(key)
                if held is None or not plain or _is_of(held, place[0]):
                    found[place] = _Held(key, held)
        return found


@dataclass(frozen=True, slots=True)
class _AnswerOf:
    """What is known of a predictor's answers to a request: their sizes above 1, and whether
    there is one of a single row."""

    owner: Predictor
    sizes: frozenset[int]
    lone: bool


def _answer_of(owner: Predictor, request_id: str, held: Mapping[_Place, _Held]) -> _AnswerOf:
    lone, first = (held[owner, document_id(request_id, 0, size)].known for size in (1, 2))
    return _AnswerOf(owner, frozenset(answer_sizes(first, owner)), bool(answer_sizes(lone, owner)))


def _waiting(found: Iterable[_Held]) -> list[_Waiting]:
    waiting = []
    for held in found:
        if held.known is None:
            continue
        try:
            logged = read_document(held.known.source)
        except _UNREADABLE as error:
            _log.warning("document not readable", key=held.key, error=str(error))
            continue
        lone = document_id(logged.request_id, 0, 1)
        if logged.feedback and held.key[1] in (lone, kept_apart(lone, logged.predictor)):
            waiting.append(
                _Waiting(
                    logged.predictor,
                    logged.request_id,
                    held.key,
                    held.known,
                    bool(logged.response),
                )
            )
    return waiting


def _parts(waiting: _Waiting, version: Document, answer: _AnswerOf) -> list[Part]:
    """One version of feedback as parts of the documents of an answer."""
    common = {name: waiting.known.source.get(name, "") for name in _COMMON}
    request_id, rows = waiting.request_id, version.get("rows", 1)
    if rows in answer.sizes:
        kept = {
            name: value
            for name, value in version.items()
            if name not in ("rows", "instance", "answer_rows", LENT_TO)
        }
        return [
            Part(
                document_id(request_id, row, 2),
                "feedback",
                {**common, "Row": row},
                {**kept, "instance": truth},
            )
            for row, truth in enumerate(cast(list[object], version["instance"]))
            if truth is not None
        ]
    whole = {name: value for name, value in version.items() if name not in ("answer_rows", LENT_TO)}
    if answer.sizes:
        whole["answer_rows"] = fitting(answer.sizes, 1)
    return [Part(document_id(request_id, 0, 1), "feedback", {**common, "Row": 0}, whole)]


def _without(source: Document, lender: Predictor) -> Document | None:
    """A document without the feedback that `lender` lent; None where it has none."""
    history, latest = source.get("feedback_history"), source.get("feedback")
    versions = [*(history if isinstance(history, list) else []), latest]
    kept = [
        each for each in versions if isinstance(each, dict) and each.get("via") != lender.predictor
    ]
    if len(kept) == len(versions):
        return None
    document = {
        name: value
        for name, value in source.items()
        if name not in ("feedback", "feedback_history")
    }
    if kept:
        *earlier, document["feedback"] = kept
        if earlier:
            document["feedback_history"] = earlier
    return document


def _is_of(known: Known, owner: Predictor) -> bool:
    try:
        return predictor_of(known.source) == owner
    except _UNREADABLE:
        return False


def _age(source: Document) -> float:
    """Seconds since a document was written."""
    return time.time() - rfc3339.nanoseconds(str(source.get("logged_at", ""))) / 1e9
