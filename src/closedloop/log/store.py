"""Documents in Elasticsearch, brought up to date: read, merged, written, with a version.

A document is only replaced as it was read. If another writer was faster, it is read and merged
again, so that nothing is lost and nothing is doubled, however many write at once. Neither `_mget`
nor `_bulk` needs a refresh: `_mget` sees every acknowledged write, refreshed or not.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast

from elasticsearch import ApiError, AsyncElasticsearch, Elasticsearch

from closedloop.log.operations import Key, Known, Operation, Result, groups, logged, put
from closedloop.log.templates import IndexTemplates
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import Predictor, index_name, kept_apart
from closedloop.loop.sections import Document, predictor_of

Place = tuple[Predictor, str]
"""The owner of a document, and its id unless it is kept apart."""
Change = Callable[[Document | None], Document | None]
"""Makes the document that should be there of the one that is, None for none; changes neither."""

_Where = TypeVar("_Where", Key, Place)
_T = TypeVar("_T")

ROUNDS = 8  # a conflict, or a refusal for now, costs one; together they wait under 2 s
_LONGEST_PAUSE = 1.0
_FIELDS = ("_index", "_id", "_seq_no", "_primary_term", "_source", "error.type")
# A document of another writer may lack fields, or have them of another shape; JSON has no infinity.
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Found:
    """Documents that were read, and the indices among theirs that do not exist."""

    documents: dict[Key, Known | None]
    absent: set[str]


@dataclass(frozen=True, slots=True)
class Held:
    """A document where it is; `known` is None for one that is to be created there."""

    key: Key
    known: Known | None


class End(StrEnum):
    """The end of a document's change."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"  # it says all of it already
    REFUSED = "refused"  # it cannot be merged, or Elasticsearch does not take it
    GIVEN_UP = "given_up"  # others changed it all the time, or Elasticsearch has too much to do


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one document's change, and the reason where it is not there."""

    how: End
    error: str = ""

    @property
    def there(self) -> bool:
        """Whether the document says all of it now."""
        return self.how in (End.WRITTEN, End.UNCHANGED)


class Documents:
    """Reads and writes documents. Every method raises one of `templates.UNAVAILABLE`.

    An index that does not exist is created by the next write, so `templates` are put first: the
    search server may have come back empty.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        templates: IndexTemplates | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._templates = templates
        self._sleep = sleep

    async def read(self, keys: Sequence[Key]) -> Found:
        """The documents with these keys, None for one that does not exist.

        One whose index cannot be read now is left out.
        """
        found = await self._client.mget(
            docs=[{"_index": index, "_id": name} for index, name in keys],
            filter_path=[f"docs.{field}" for field in _FIELDS],
        )
        documents: dict[Key, Known | None] = {}
        absent: set[str] = set()
        for key, item in zip(keys, found["docs"], strict=True):
            if "_source" in item:
                documents[key] = Known(item["_source"], item["_seq_no"], item["_primary_term"])
            elif "error" not in item:
                documents[key] = None
            elif item["error"]["type"] == "index_not_found_exception":
                documents[key] = None
                absent.add(key[0])
        if absent and self._templates is not None:
            await self._templates.put()
        return Found(documents, absent)

    async def find(self, places: Iterable[Place]) -> dict[Place, Held]:
        """Each document, where it is or would be: under its id, or apart of another owner's."""
        asked = list(dict.fromkeys(places))
        found: dict[Place, Held] = {}
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
            documents = (await self.read(list(dict.fromkeys(keys.values())))).documents
            for place, key in keys.items():
                held = documents.get(key)
                if held is None or not plain or _is_of(held, place[0]):
                    found[place] = Held(key, held)
        return found

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """Send one `_bulk` request; one result for each operation, in their order."""
        if not operations:
            return []
        try:
            answer = await self._client.perform_request(
                "POST",
                "/_bulk",
                params={"filter_path": "items.*.status,items.*.error.reason", "timeout": "5s"},
                headers={"accept": "application/json", "content-type": "application/x-ndjson"},
                body=[operation.lines for operation in operations],
            )
        except ApiError as error:
            # An operation that it cannot even read must be left out, or none would be written.
            if error.meta.status not in (400, 413):
                raise
            if len(operations) == 1:
                return [Result(error.meta.status, str(error))]
            half = len(operations) // 2
            return [*await self.write(operations[:half]), *await self.write(operations[half:])]
        return [
            Result(said["status"], said.get("error", {}).get("reason", ""))
            for item in answer["items"]
            for said in item.values()
        ]

    async def merge(self, changes: Mapping[Place, Change]) -> dict[Place, Ended]:
        """Bring documents of the inference log up to date, each where its owner has it."""
        return await self._bring(changes, self.find, logged)

    async def change(
        self,
        changes: Mapping[Key, Change],
        stored: Callable[[Key, Document], Document] = logged,
    ) -> dict[Key, Ended]:
        """Bring documents up to date; `stored` is how a changed one is kept."""

        async def read(keys: Iterable[Key]) -> dict[Key, Held]:
            documents = (await self.read(list(keys))).documents
            return {key: Held(key, known) for key, known in documents.items()}

        return await self._bring(changes, read, stored)

    async def _bring(
        self,
        changes: Mapping[_Where, Change],
        find: Callable[[Iterable[_Where]], Awaitable[Mapping[_Where, Held]]],
        stored: Callable[[Key, Document], Document],
    ) -> dict[_Where, Ended]:
        ended: dict[_Where, Ended] = {}
        errors: dict[_Where, str] = {}
        for attempt in range(ROUNDS):
            waiting = [where for where in changes if where not in ended]
            if not waiting:
                break
            if attempt:
                await self._sleep(pause(attempt))
            operations: dict[Key, tuple[_Where, Operation]] = {}
            for where, held in (await find(waiting)).items():
                made = _operation(held, changes[where], stored)
                if isinstance(made, Ended):
                    ended[where] = made
                else:
                    operations[held.key] = where, made
            for group in groups([operation for _, operation in operations.values()]):
                for operation, result in zip(group, await self.write(group), strict=True):
                    where = operations[operation.key][0]
                    if result.written:
                        ended[where] = Ended(End.WRITTEN)
                    elif result.refused:
                        ended[where] = Ended(End.REFUSED, result.error)
                    else:
                        errors[where] = result.error
        left = (where for where in changes if where not in ended)
        return ended | {where: Ended(End.GIVEN_UP, errors.get(where, "")) for where in left}


def merge_now(client: Elasticsearch, changes: Mapping[Place, Change]) -> dict[Place, Ended]:
    """`Documents.merge` by a client that blocks, with no event loop of its own.

    Raises one of `templates.UNAVAILABLE`.
    """
    documents = Documents(cast(AsyncElasticsearch, _Blocking(client)), sleep=_sleep_now)
    return _at_once(documents.merge(changes))


def pause(attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, at random so that two part ways."""
    return random.uniform(0.5, 1) * min(_LONGEST_PAUSE, 0.01 * 2.0 ** min(attempt, 10))


def _operation(
    held: Held, change: Change, stored: Callable[[Key, Document], Document]
) -> Operation | Ended:
    before = None if held.known is None else held.known.source
    try:
        document = change(before)
        if document is None or document == before:
            return Ended(End.UNCHANGED)
        return put(held.key, held.known, stored(held.key, document))
    except UNREADABLE as error:
        return Ended(End.REFUSED, f"{type(error).__name__}: {error}")


def _is_of(known: Known, owner: Predictor) -> bool:
    try:
        return predictor_of(known.source) == owner
    except InvalidEvent:
        return False


class _Blocking:
    """A client whose calls are awaited, and done when they are made."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client

    async def mget(self, **asked: Any) -> Any:
        return self._client.mget(**asked)

    async def perform_request(self, *asked: Any, **more: Any) -> Any:
        return self._client.perform_request(*asked, **more)


async def _sleep_now(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop that it could hold up


def _at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return cast(_T, stop.value)
    raise RuntimeError("a call to a client that blocks was not done when it was made")
