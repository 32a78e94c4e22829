"""The inference log as the metrics server reads it: documents, all or the latest, and counts."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, cast

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

from closedloop.log.counts import CELL, OUTCOMES, Buckets, right_and_wrong, states_in
from closedloop.log.pages import PAGE, paging
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
    "DocumentId",
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
        logger wrote then or later by its own clock.
        """
        query = _ALL
        if since is not None:
            moment = rfc3339.written(since)
            query = {"range": {"logged_at": {"gte": moment}}}
        async for hit in async_scan(
            self._client,
            index=self._indices,
            **paging(query, _FIELDS, page=PAGE),
            ignore_unavailable=True,  # a predictor's index comes with its first event
            allow_no_indices=True,
        ):
            yield hit["_id"], hit["_source"]

    async def counts(self) -> Mapping[Predictor, Counts]:
        """The counts of each predictor's documents, added up by Elasticsearch."""
        counts: dict[Predictor, dict[tuple[str, ...], int]] = defaultdict(dict)
        async for bucket in self.buckets(Buckets(OWNER, OUTCOMES)):
            of_one = counts[owner_of(bucket)]
            of_one |= {("state", state): count for state, count in states_in(bucket).items()}
            for said, count in zip(("true", "false"), right_and_wrong(bucket), strict=True):
                if count:
                    of_one["correct", said] = count
        async for bucket in self.buckets(Buckets((*OWNER, *CELL))):
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
            ignore_unavailable=True,
            allow_no_indices=True,
        )
        return cast(Mapping[str, Any], answer.body)

    async def size(self) -> int:
        """The number of documents."""
        answer = await self._client.count(
            index=self._indices, ignore_unavailable=True, allow_no_indices=True
        )
        return int(answer["count"])


def owner_of(bucket: Mapping[str, Any]) -> Predictor:
    """The predictor of a bucket by `OWNER`."""
    return Predictor(*(bucket["key"][field] for field in OWNER))
