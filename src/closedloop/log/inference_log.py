"""The inference log as the metrics server reads it: documents, all or the latest, and counts."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Self, cast

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

from closedloop.log.counts import CELL, OUTCOMES, Buckets, right_and_wrong, states_in
from closedloop.log.pages import PAGE, SAMPLE, page_size, paging
from closedloop.log.period import Filter
from closedloop.loop import rfc3339
from closedloop.loop.keys import (
    INDEX_PATTERN,
    OWNER,
    Predictor,
    index_name,
)
from closedloop.loop.sections import Document

# The fields that documents.read_document reads, and those of the owner.
_FIELDS = [
    *OWNER,
    "logged_at",
    "RequestId",
    "Row",
    "answer_sizes",
    *(f"response.{name}" for name in ("instance", "names", "rows", "ce-time", "ce-id")),
    *(
        f"feedback.{name}"
        for name in (
            "instance", "reward", "rows", "via", "answer_rows", "truth.data.names",
            "ce-time", "ce-id",
        )
    ),
]  # fmt: skip


_ALL: Filter = {"match_all": {}}
_MOST_SLICES = 4
_SEARCHES = 100  # in one request
# A predictor's index comes with its first event.
_LENIENT: Mapping[str, Any] = {"ignore_unavailable": True, "allow_no_indices": True}

Hit = Mapping[str, Any]
Counts = Mapping[tuple[str, ...], int]
"""`("state", s)`, `("correct", "true")` or `"false"`, `("cell", predicted, actual)`: how many."""


class InferenceLog:
    """The log of `predictors`, or of all there are when that is empty.

    All methods raise `elasticsearch.ApiError`, `elastic_transport.TransportError`
    or `elasticsearch.helpers.ScanError`.
    """

    def __init__(
        self, client: AsyncElasticsearch, predictors: Collection[Predictor] = frozenset()
    ) -> None:
        self._client = client
        self._indices = sorted({index_name(*names) for names in predictors}) or [INDEX_PATTERN]

    async def documents(self, since: float | None = None) -> AsyncIterator[tuple[str, Document]]:
        """(document id, the fields that say its row) of every document.

        With `since`, in seconds since the epoch, only of those that a request
        logger wrote then or later by its own clock. Without, each shard is read
        on its own, so that the server works on the next pages meanwhile.
        """
        slices, sampled = 1, [",".join(self._indices)]
        if since is None:
            shards = await self._shards()
            slices, sampled = max(1, min(sum(shards.values()), _MOST_SLICES)), [*shards]
        size = await self._page_size(since, sampled)
        async with _Pages(size) as pages:
            for number in range(slices):
                pages.add(self._hits(since, size, number, slices))
            async for page in pages:
                for hit in page:
                    yield hit["_id"], hit["_source"]

    async def counts(self, answered_since: float = 0.0) -> Mapping[Predictor, Counts]:
        """The counts of each predictor's documents, added up by Elasticsearch.

        Without those of rows answered before a moment in seconds since the epoch, or judged
        before it and not answered.
        """
        counts: dict[Predictor, dict[tuple[str, ...], int]] = defaultdict(dict)
        query = _answered(answered_since)
        async for bucket in self.buckets(Buckets(OWNER, OUTCOMES), query):
            of_one = counts[owner_of(bucket)]
            of_one |= {("state", state): count for state, count in states_in(bucket).items()}
            for said, count in zip(("true", "false"), right_and_wrong(bucket), strict=True):
                if count:
                    of_one["correct", said] = count
        async for bucket in self.buckets(Buckets((*OWNER, *CELL)), query):
            predicted, actual = (bucket["key"][field] for field in CELL)
            counts[owner_of(bucket)]["cell", predicted, actual] = bucket["doc_count"]
        return {predictor: of_one for predictor, of_one in counts.items() if of_one}

    async def buckets(
        self, buckets: Buckets, query: Filter = _ALL
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Every bucket of the documents that a query finds."""
        while not buckets.done:
            answer = await self.aggregate(buckets.aggregations, query)
            for bucket in buckets.read(answer):
                yield bucket

    async def aggregate(
        self, aggregations: Mapping[str, Any], query: Filter = _ALL
    ) -> Mapping[str, Any]:
        """The answer to one search of the documents that a query finds, without documents."""
        answer = await self._client.search(
            index=self._indices,
            size=0,
            query=query,
            aggregations=aggregations,
            **_LENIENT,
        )
        return cast(Mapping[str, Any], answer.body)

    async def size(self, since: float | None = None) -> int:
        """The number of documents."""
        answer = await self._client.count(index=self._indices, query=_logged(since), **_LENIENT)
        return int(answer["count"])

    def _hits(self, since: float | None, page: int, number: int, slices: int) -> AsyncIterable[Hit]:
        asked = paging(_logged(since), _FIELDS, page=page)
        if slices > 1:
            asked["query"]["slice"] = {"id": number, "max": slices}
        return async_scan(self._client, index=self._indices, **asked, **_LENIENT)

    async def _page_size(self, since: float | None, indices: Sequence[str]) -> int:
        """How many documents a page has, by some answers of each of the indices."""
        answered: Filter = {"exists": {"field": "response.ce-time"}}
        search = {
            "size": SAMPLE,
            "_source": _FIELDS,
            "query": {"bool": {"filter": [answered, _logged(since)]}},
        }
        sources: list[Document] = []
        for i in range(0, len(indices), _SEARCHES):
            searches = [
                each
                for index in indices[i : i + _SEARCHES]
                for each in ({"index": index, **_LENIENT}, search)
            ]
            answer = await self._client.msearch(searches=searches)
            for found in answer["responses"]:
                sources += [hit["_source"] for hit in found.get("hits", {}).get("hits", ())]
        return page_size(sources, PAGE)

    async def _shards(self) -> Mapping[str, int]:
        """How many primary shards each of the indices has."""
        answer = await self._client.indices.get_settings(
            index=self._indices, name="index.number_of_shards", flat_settings=True, **_LENIENT
        )
        return {
            index: int(said.get("settings", {}).get("index.number_of_shards", 1))
            for index, said in answer.body.items()
        }


class _Pages:
    """Pages of hits, read at the same time from several places and each a page ahead."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: asyncio.Queue[list[Hit] | BaseException | None] = asyncio.Queue(1)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, hits: AsyncIterable[Hit]) -> None:
        self._tasks.append(asyncio.create_task(self._read(hits)))

    async def __aiter__(self) -> AsyncIterator[list[Hit]]:
        left = len(self._tasks)
        while left:
            page = await self._queue.get()
            if isinstance(page, BaseException):
                raise page
            if page is None:
                left -= 1
            else:
                yield page

    async def _read(self, hits: AsyncIterable[Hit]) -> None:
        page: list[Hit] = []
        try:
            async for hit in hits:
                page.append(hit)
                if len(page) == self._size:
                    await self._queue.put(page)
                    page = []
            await self._queue.put(page)
            await self._queue.put(None)
        except Exception as error:  # noqa: BLE001 - raised where the pages are taken
            await self._queue.put(error)


def _logged(since: float | None) -> Filter:
    if since is None:
        return _ALL
    return {"range": {"logged_at": {"gte": rfc3339.written(since)}}}


def _answered(since: float) -> Filter:
    if not since:
        return _ALL
    then = {"gte": rfc3339.written(since)}
    unanswered = {
        "must_not": {"exists": {"field": "response.ce-time"}},
        "filter": {"range": {"feedback.ce-time": then}},
    }
    return {"bool": {"should": [{"range": {"response.ce-time": then}}, {"bool": unanswered}]}}


def owner_of(bucket: Mapping[str, Any]) -> Predictor:
    """The predictor of a bucket by `OWNER`."""
    return Predictor(*(bucket["key"][field] for field in OWNER))
