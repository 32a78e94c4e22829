"""Documents in Elasticsearch, brought up to date: read, merged, written, with a version.

A document is only replaced as it was read. If another writer was faster, it is read and merged
again, so that nothing is lost and nothing is doubled, however many write at once. Neither `_mget`
nor `_bulk` needs a refresh: `_mget` sees every acknowledged write, refreshed or not.

A log may be an alias over several indices, of which the newest takes new documents
(Elasticsearch's rollover). A document is looked for in each of them, and changed where it is.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from elasticsearch import ApiError, AsyncElasticsearch

from closedloop.log.operations import Key, Known, Operation, Result, delete, groups, logged, put
from closedloop.log.portions import Portions
from closedloop.log.templates import IndexTemplates
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import INDEX_PATTERN, Predictor, index_name, kept_apart, logs_of
from closedloop.loop.sections import Document, predictor_of

Place = tuple[Predictor, str]
"""The owner of a document, and its id unless it is kept apart."""
Change = Callable[[Document | None], Document | None]
"""Makes the document that should be there of the one that is, None for none; changes neither."""

_Where = TypeVar("_Where", Key, Place)

ROUNDS = 8  # a conflict, or a refusal for now, costs one; together they wait under 2 s
_LONGEST_PAUSE = 1.0
_OUTCOMES = "items.*.status,items.*.error.reason,items.create._index"
_DOUBLED = Result(409, "an older index of the log has the document")
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
        self._rolled: dict[str, list[str]] = {}  # the indices of each alias, the oldest first
        self._stale = True
        self._portions = Portions()

    def portions(
        self, wheres: Iterable[_Where], is_read: Callable[[_Where], bool] = lambda _: True
    ) -> Iterator[list[_Where]]:
        """Documents in portions to read, change and write one after the other, so that memory is
        bounded however large they are; `is_read` tells those that are read."""
        return self._portions.split(wheres, lambda each: _index_of(each) if is_read(each) else None)

    async def read(self, keys: Sequence[Key], fields: Sequence[str] = ()) -> Found:
        """The documents with these keys, None for one that does not exist.

        One whose index cannot be read now is left out. With `fields` there is no more of them than
        that. All of them are in memory: see `portions`.
        """
        if self._stale:
            await self.look_for_rollovers()
        asked = [(key, index) for key in keys for index in self._rolled.get(key[0], key[:1])]
        # Without `filter_path`: to filter them the server would have to decode the documents.
        found = await self._client.mget(
            docs=[{"_index": index, "_id": key[1]} for key, index in asked],
            source_includes=[*fields] or None,
        )
        documents: dict[Key, Known | None] = {}
        absent: set[str] = set()
        unread: set[Key] = set()
        for (key, _), item in zip(asked, found["docs"], strict=True):
            if "_source" in item and documents.get(key) is None:  # of two the older one counts
                at = item["_seq_no"], item["_primary_term"], item["_index"]
                documents[key] = Known(item["_source"], *at)
            documents.setdefault(key, None)
            error = item["error"]["type"] if "error" in item else None
            if error == "index_not_found_exception" and key[0] not in self._rolled:
                absent.add(key[0])
            elif error is not None:
                unread.add(key)
        for key in unread:
            self._stale = True
            if documents[key] is None:
                del documents[key]
        if absent and self._templates is not None:
            await self._templates.put()
        return Found(documents, absent)

    async def find(self, places: Iterable[Place], fields: Sequence[str] = ()) -> dict[Place, Held]:
        """Each document, where it is or would be: under its id, or apart of another owner's.

        With `fields`, which the owner's must be among, there is no more of them than that.
        """
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
            documents = (await self.read(list(dict.fromkeys(keys.values())), fields)).documents
            for place, key in keys.items():
                held = documents.get(key)
                if held is None or not plain or _is_of(held, place[0]):
                    found[place] = Held(key, held)
        return found

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """Send one `_bulk` request; one result for each operation, in their order."""
        if not operations:
            return []
        self._portions.wrote(operations)
        try:
            answer = await self._client.perform_request(
                "POST",
                "/_bulk",
                params={"filter_path": _OUTCOMES, "timeout": "5s"},
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
        landed: dict[Key, str] = {}  # of new documents
        results = []
        for operation, item in zip(operations, answer["items"], strict=True):
            name = operation.key[0]
            for action, said in item.items():
                result = Result(said["status"], said.get("error", {}).get("reason", ""))
                results.append(result)
                index = said.get("_index", name)
                if action == "create" and result.conflict and name in self._rolled:
                    self._stale = True  # it may be in an index that is not known here
                elif result.written and index not in (name, *self._rolled.get(name, ())):
                    landed[operation.key] = index
        doubled = await self._take_back(landed) if landed else set()
        return [
            _DOUBLED if operation.key in doubled else result
            for operation, result in zip(operations, results, strict=True)
        ]

    async def look_for_rollovers(self) -> None:
        """Learn which logs are aliases, and of which indices."""
        path, headers = f"/{INDEX_PATTERN}/_alias", {"accept": "application/json"}
        answer = await self._client.perform_request("GET", path, headers=headers)
        rolled: dict[str, list[str]] = defaultdict(list)
        for index in sorted(answer.body):
            for alias in logs_of(index, answer.body[index]["aliases"]):
                rolled[alias].append(index)
        self._rolled, self._stale = dict(rolled), False

    async def rolled_over(self, keys: Iterable[Key]) -> bool:
        """Whether a log of these documents has older indices than the one that takes new ones."""
        if self._stale:
            await self.look_for_rollovers()
        return any(len(self._rolled.get(name, ())) > 1 for name in {key[0] for key in keys})

    async def _take_back(self, landed: Mapping[Key, str]) -> set[Key]:
        """Delete those of the new documents that an older index has as well.

        They were created in an index that was not known when they were looked for, so that
        another writer may have created them in between, before the rollover.
        """
        await self.look_for_rollovers()
        doubled: set[Key] = set()
        for (name, said), new in landed.items():
            older = [(index, said) for index in self._rolled.get(name, ()) if index != new]
            found = (await self.read([*older, (new, said)])).documents if older else {}
            mine = found.pop((new, said), None)
            if mine is not None and any(found.values()):
                await self.write([delete((new, said), mine)])
                doubled.add((name, said))
        return doubled

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
        for portion in self.portions(changes):
            some = {where: changes[where] for where in portion}
            ended |= await self._bring_at_once(some, find, stored)
        return ended

    async def _bring_at_once(
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


def _index_of(where: Key | Place) -> str:
    return where[0] if isinstance(where[0], str) else index_name(*where[0])


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
