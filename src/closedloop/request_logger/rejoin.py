"""Brings feedback to the answer it is about, where that was not known when it came.

Feedback with several entries waits under the request's own id until the answer tells whether
they are its rows. Feedback whose call a canary's weights sent to another predictor than the one
that answered waits in that predictor's log. Everything here may be done twice, or by two loggers
at once: sections are merged by their time, and a document is only replaced as it was read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import structlog

from closedloop import events
from closedloop.documents import (
    Document,
    Logged,
    Part,
    Predictor,
    index_name,
    lent,
    merge,
    read_document,
    scored,
    stamp_of,
)
from closedloop.events import InvalidEvent
from closedloop.index_templates import UNAVAILABLE
from closedloop.output import Output
from closedloop.request_logger.batch import Key, Known, delete, replace
from closedloop.request_logger.metrics import Metrics
from closedloop.request_logger.store import Store
from closedloop.scoring.keys import document_id

_EVERY = 2.0
_WITHIN = 600.0  # feedback that waits longer was looked at often; an hourly look finds the rest
_EVERYTHING = 3600.0
_MOST = 500
_OWN_ANSWER = 30.0  # seconds in which the predictor's own answer may still come
_COMMON = (
    "ServingEngine", "Ce-Namespace", "Ce-Inferenceservicename", "Ce-Endpoint", "Ce-Modelid",
    "RequestId",
)  # fmt: skip

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document with feedback and no answer."""

    key: Key
    known: Known
    logged: Logged

    @property
    def versions(self) -> list[Document]:
        earlier = self.known.source.get("feedback_history")
        history = cast(list[Document], earlier) if isinstance(earlier, list) else []
        return [*history, dict(self.logged.feedback)]


class Rejoin:
    """The task that looks for such feedback, all the time."""

    def __init__(
        self, store: Store, metrics: Metrics, output_of: Callable[[Predictor], Output | None]
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._output_of = output_of
        self._hinted: set[Key] = set()

    def hint(self, keys: Iterable[Key]) -> None:
        """Have these documents looked at soon: an answer came that they may wait for."""
        if len(self._hinted) < 10 * _MOST:
            self._hinted.update(keys)

    async def run(self) -> None:
        """For ever."""
        everything = 0.0
        while True:
            await asyncio.sleep(_EVERY)
            try:
                now = time.time()
                whole = now - everything > _EVERYTHING
                await self.look(0.0 if whole else now - _WITHIN)
                everything = now if whole else everything
            except UNAVAILABLE as error:
                _log.warning("feedback was not rejoined, trying again", error=str(error))
            except Exception:  # noqa: BLE001 - whatever one look met, the next may succeed
                _log.exception("feedback was not rejoined, trying again")

    async def look(self, since: float) -> None:
        """Once: what was hinted, and what waits since a moment, in seconds since the epoch.

        Raises one of `index_templates.UNAVAILABLE`.
        """
        hinted, self._hinted = self._hinted, set()
        keys = {*hinted, *await self._store.waiting(since, _MOST)}
        if not keys:
            return
        for key, known in (await self._store.read(list(keys))).documents.items():
            try:
                if known is not None and (waiting := _waiting(key, known)) is not None:
                    await self._rejoin(waiting)
            except InvalidEvent as error:
                _log.warning("document not readable", key=key, error=str(error))

    async def _rejoin(self, waiting: _Waiting) -> None:
        owner = waiting.logged.predictor
        if (rows := await self._answer_rows(owner, waiting.logged.request_id)) is not None:
            fits = [each for each in waiting.versions if each.get("rows", 1) == rows]
            parts = [part for each in fits for part in _parts(waiting, each, rows)]
            if await self._add(index_name(*owner), parts):
                await self._leave(waiting, fits, rows)
            return
        if _age(waiting.known.source) < _OWN_ANSWER:
            return
        for other in await self._store.predictors(owner.namespace, owner.deployment):
            if other == owner:
                continue
            rows = await self._answer_rows(other, waiting.logged.request_id, lone=True)
            if rows is None:
                continue
            fits = [each for each in waiting.versions if rows in (1, each.get("rows", 1))]
            parts = [lent(part, other) for each in fits for part in _parts(waiting, each, rows)]
            if parts and await self._add(index_name(*other), parts):
                await self._leave(waiting, fits, None)
            return

    async def _answer_rows(
        self, owner: Predictor, request_id: str, *, lone: bool = False
    ) -> int | None:
        """How many rows the answer of `owner` has; one of a single row is asked for by `lone`."""
        index = index_name(*owner)
        names = [document_id(request_id, 0, size) for size in ((2, 1) if lone else (2,))]
        found = (await self._store.read([(index, name) for name in names])).documents
        for known in found.values():
            if known is None:
                continue
            logged = read_document(known.source)
            # A request id that ends like an item's has one document for both.
            if logged.predictor == owner and logged.response and (lone or logged.size > 1):
                return logged.size
        return None

    async def _add(self, index: str, parts: list[Part]) -> bool:
        """Merge parts into documents; whether all of them are there now."""
        by_key: dict[Key, list[Part]] = {}
        for part in parts:
            by_key.setdefault((index, part.document_id), []).append(part)
        if not by_key:
            return True
        operations = []
        for key, known in (await self._store.read(list(by_key))).documents.items():
            if known is None:  # the answer's document is gone meanwhile
                return False
            document: Document = known.source
            for part in by_key[key]:
                document, _ = merge(document, part, self._output_of(part.owner))
            operations.append(replace(key, known, document, 1))
        results = await self._store.write(operations)
        return all(result.status < 300 for result in results)

    async def _leave(self, waiting: _Waiting, gone: list[Document], rows: int | None) -> None:
        """Take what was brought to its answer out of the document where it waited."""
        rest = [each for each in waiting.versions if each not in gone]
        document = {
            name: value
            for name, value in waiting.known.source.items()
            if name not in ("feedback", "feedback_history", "score")
        }
        if rest:
            *earlier, latest = sorted(rest, key=stamp_of)
            if rows is not None:
                latest = {**latest, "answer_rows": rows}
            document["feedback"] = latest
            if earlier:
                document["feedback_history"] = earlier
        if "feedback" in document or "request" in document:
            output = self._output_of(waiting.logged.predictor)
            operation = replace(waiting.key, waiting.known, scored(document, output), 1)
        else:
            operation = delete(waiting.key, waiting.known)
        (result,) = await self._store.write([operation])
        if result.status < 300:
            self._metrics.rejoined.inc(len(gone))


def _waiting(key: Key, known: Known) -> _Waiting | None:
    logged = read_document(known.source)
    looked_at = "answer_rows" in logged.feedback
    if logged.response or not logged.feedback or looked_at:
        return None
    return _Waiting(key, known, logged)


def _parts(waiting: _Waiting, version: Document, rows: int) -> list[Part]:
    """One version of feedback as parts of the documents of an answer that has `rows` rows."""
    common = {name: waiting.known.source.get(name, "") for name in _COMMON}
    request_id = waiting.logged.request_id
    if rows == 1:
        name = document_id(request_id, 0, 1)
        return [Part(name, "feedback", {**common, "Row": 0}, version)]
    kept = {name: value for name, value in version.items() if name not in ("rows", "instance")}
    return [
        Part(
            document_id(request_id, row, rows),
            "feedback",
            {**common, "Row": row},
            {**kept, "instance": truth},
        )
        for row, truth in enumerate(cast(list[object], version["instance"]))
        if truth is not None
    ]


def _age(source: Document) -> float:
    """Seconds since a document was written."""
    return time.time() - events.nanoseconds(str(source.get("logged_at", ""))) / 1e9
