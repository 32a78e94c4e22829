"""Reading the inference log: its documents, all or the latest, and the counts it holds.

Scroll is used, as point-in-time searches are not understood by every server
that speaks Elasticsearch's API.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

from closedloop.loop import rfc3339
from closedloop.loop.keys import (
    INDEX_PATTERN,
    OWNER,
    Predictor,
    index_name,
)
from closedloop.loop.parts import Document
from closedloop.loop.scoring.verdict import STATES

PAGE = 1000  # documents read at once: a few milliseconds of work each

# What documents.read_document reads, and whose document it is.
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


Counts = Mapping[tuple[str, ...], int]
"""`("state", s)`, `("correct", "true")` or `"false"`, `("cell", predicted, actual)`: how many."""

_OUTCOMES: Mapping[str, Any] = {
    "states": {"terms": {"field": "score.state", "size": len(STATES)}},
    "correct": {
        "filters": {
            "filters": {
                said: {"term": {"score.correct": said == "true"}} for said in ("true", "false")
            }
        }
    },
}


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
        query: dict[str, object] = {"match_all": {}}
        if since is not None:
            moment = rfc3339.written(since)
            query = {"range": {"logged_at": {"gte": moment}}}
        async for hit in async_scan(
            self._client,
            query={"query": query},
            index=self._indices,
            size=PAGE,
            source_includes=_FIELDS,
            ignore_unavailable=True,  # a predictor's index comes with its first event
            allow_no_indices=True,
        ):
            yield hit["_id"], hit["_source"]

    async def counts(self) -> Mapping[Predictor, Counts]:
        """What each predictor's documents count, added up by Elasticsearch."""
        counts: dict[Predictor, dict[tuple[str, ...], int]] = defaultdict(dict)
        async for bucket in self._buckets(OWNER, _OUTCOMES):
            of_one = counts[_owner(bucket)]
            for state in bucket["states"]["buckets"]:
                of_one["state", state["key"]] = state["doc_count"]
            for said, found in bucket["correct"]["buckets"].items():
                if found["doc_count"]:
                    of_one["correct", said] = found["doc_count"]
        cell = ("score.predicted", "score.actual")
        async for bucket in self._buckets((*OWNER, *cell)):
            predicted, actual = (bucket["key"][field] for field in cell)
            counts[_owner(bucket)]["cell", predicted, actual] = bucket["doc_count"]
        return {predictor: of_one for predictor, of_one in counts.items() if of_one}

    async def _buckets(
        self, fields: Sequence[str], within: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """A bucket for each combination of values of these fields, page by page."""
        composite: dict[str, Any] = {
            "size": PAGE,
            "sources": [{field: {"terms": {"field": field}}} for field in fields],
        }
        while True:
            answer = await self._client.search(
                index=self._indices,
                size=0,
                aggregations={"all": {"composite": composite, "aggregations": within or {}}},
                ignore_unavailable=True,
                allow_no_indices=True,
            )
            # Without any index there is no aggregation either.
            found = answer.get("aggregations", {}).get("all", {})
            for bucket in found.get("buckets", []):
                yield bucket
            if "after_key" not in found:
                return
            composite["after"] = found["after_key"]


def _owner(bucket: Mapping[str, Any]) -> Predictor:
    return Predictor(*(bucket["key"][field] for field in OWNER))
