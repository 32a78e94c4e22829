"""Elasticsearch as the request logger uses it: `_mget` and `_bulk`.

Neither needs a refresh: `_mget` sees what was acknowledged, refreshed or not.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from elasticsearch import ApiError, AsyncElasticsearch

from closedloop.log.mapping import OUTPUTS
from closedloop.log.templates import IndexTemplates
from closedloop.loop import rfc3339
from closedloop.loop.keys import (
    INDEX_PATTERN,
    OWNER,
    Predictor,
    owned_by,
)
from closedloop.loop.parts import LENT_TO
from closedloop.services.request_logger.operations import Key, Known, Operation, Result

Filter = Mapping[str, object]

# Far below what Elasticsearch takes, which keeps the memory of both low, and above
# a thousand documents of a small model: smaller requests cost more for each.
_REQUEST_BYTES = 4 << 20
_FIELDS = ("_index", "_id", "_seq_no", "_primary_term", "_source", "error.type")


@dataclass(frozen=True, slots=True)
class Found:
    """Documents that were read, and the indices among theirs that do not exist."""

    documents: dict[Key, Known | None]
    absent: set[str]


class Store:
    """Reads and writes documents. Every method raises one of `index_templates.UNAVAILABLE`."""

    def __init__(self, client: AsyncElasticsearch, templates: IndexTemplates) -> None:
        self._client = client
        self._templates = templates

    async def read(self, keys: Sequence[Key]) -> Found:
        """The documents with these keys, None for one that does not exist.

        One whose index cannot be read now is left out. An index that does not
        exist is created by the next write, so the templates are put first: the
        search server may have come back empty.
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
        if absent:
            await self._templates.put()
        return Found(documents, absent)

    async def without_room(self, absent: Collection[str], most: int) -> list[str]:
        """Those of the log's indices that are not there, and may not be made: `most` may be."""
        new = sorted(name for name in absent if fnmatchcase(name, INDEX_PATTERN))
        if not new:
            return []
        there = await self._client.indices.get(
            index=INDEX_PATTERN, filter_path="*.aliases", allow_no_indices=True
        )
        return new[max(0, most - len(there)) :]

    async def waiting(self, since: float | None, most: int) -> list[Key]:
        """Feedback that may have to be brought to its answer: what has none and was written
        since a moment (seconds since the epoch), and what was lent although it has one.

        None for the moment: whenever it was written, and lent or of several rows as well.
        """
        unmatched: Filter = {"term": {"score.state": "unmatched"}}
        is_lent: Filter = {"exists": {"field": f"feedback.{LENT_TO}"}}
        answered: Filter = {"exists": {"field": "response.ce-time"}}
        any_of = [is_lent, {"range": {"feedback.rows": {"gt": 1}}}, unmatched]
        if since is not None:
            moment = rfc3339.written(since)
            new = {"range": {"logged_at": {"gte": moment}}}
            any_of = [
                {"bool": {"filter": [unmatched, new]}},
                {"bool": {"filter": [is_lent, answered]}},
            ]
        return await self._keys({"bool": {"should": any_of, "minimum_should_match": 1}}, most)

    async def predictors(self, namespace: str, deployment: str) -> list[Predictor]:
        """The predictors of a deployment that have a log."""
        return await self.owners(
            [{"term": {OWNER[0]: namespace}}, {"term": {OWNER[1]: deployment}}]
        )

    async def owners(self, filters: Sequence[Filter] = ()) -> list[Predictor]:
        """The predictors that have a log, at most a thousand of them."""
        sources = [{field: {"terms": {"field": field}}} for field in OWNER]
        found = await self._client.search(
            index=INDEX_PATTERN,
            size=0,
            query={"bool": {"filter": list(filters)}},
            aggregations={"owners": {"composite": {"size": 1000, "sources": sources}}},
            allow_no_indices=True,
            ignore_unavailable=True,
        )
        buckets = found.get("aggregations", {}).get("owners", {}).get("buckets", [])
        return [Predictor(*(bucket["key"][field] for field in OWNER)) for bucket in buckets]

    async def scored_otherwise(self, owner: Predictor, digest: str | None, most: int) -> list[Key]:
        """Documents of a predictor that another declaration scored; `digest` None: any did."""
        filters = [*owned_by(owner), {"exists": {"field": "score.state"}}]
        by_one: Filter = {"exists": {"field": "score.output"}}
        query: dict[str, object] = {"bool": {"filter": [*filters, by_one]}}
        if digest is not None:
            so = {"term": {"score.output": digest}}
            query = {"bool": {"filter": filters, "must_not": [so]}}
        return await self._keys(query, most)

    async def digests(self) -> dict[str, str]:
        """The declarations written down in the log: the digest of each, by its name."""
        found = await self._client.search(
            index=OUTPUTS,
            size=10_000,
            source_includes=["digest"],
            allow_no_indices=True,
            ignore_unavailable=True,
        )
        return {hit["_id"]: hit["_source"].get("digest", "") for hit in found["hits"]["hits"]}

    async def refresh(self) -> None:
        """Make what was written visible to searches."""
        await self._client.indices.refresh(
            index=INDEX_PATTERN, allow_no_indices=True, ignore_unavailable=True
        )

    async def _keys(self, query: Filter, most: int) -> list[Key]:
        """The newest documents of the log that a query finds."""
        found = await self._client.search(
            index=INDEX_PATTERN,
            size=most,
            query=query,
            sort=[{"logged_at": "desc"}],
            source=False,
            allow_no_indices=True,
            ignore_unavailable=True,
        )
        return [(hit["_index"], hit["_id"]) for hit in found["hits"]["hits"]]

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """One `_bulk` request; one result for each operation, in their order."""
        try:
            answer = await self._client.perform_request(
                "POST",
                "/_bulk",
                params={"filter_path": "items.*.status,items.*.error.reason", "timeout": "5s"},
                headers={"accept": "application/json", "content-type": "application/x-ndjson"},
                body=[operation.lines for operation in operations],
            )
        except ApiError as error:
            # What it cannot even read must be found and left out, or nothing would be written.
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


def groups(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """The operations in requests of a few megabytes, or of one operation if that is larger."""
    group: list[Operation] = []
    size = 0
    for operation in operations:
        if group and size + len(operation.lines) > _REQUEST_BYTES:
            yield group
            group, size = [], 0
        group.append(operation)
        size += len(operation.lines)
    if group:
        yield group
