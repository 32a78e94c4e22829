"""Elasticsearch as the request logger uses it: `_mget` and `_bulk`.

Neither needs a refresh: `_mget` sees what was acknowledged, refreshed or not.
"""

from collections.abc import Iterator, Sequence

from elasticsearch import ApiError, AsyncElasticsearch

from closedloop.index_templates import IndexTemplates
from closedloop.request_logger.batch import Key, Known, Operation, Result

# Far below what Elasticsearch takes, which keeps the memory of both low, and above
# a thousand documents of a small model: smaller requests cost more for each.
_REQUEST_BYTES = 4 << 20
_FIELDS = ("_index", "_id", "_seq_no", "_primary_term", "_source", "error.type")


class Store:
    """Reads and writes documents. Every method raises one of `index_templates.UNAVAILABLE`."""

    def __init__(self, client: AsyncElasticsearch, templates: IndexTemplates) -> None:
        self._client = client
        self._templates = templates

    async def read(self, keys: Sequence[Key]) -> dict[Key, Known | None]:
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
        new = False
        for key, item in zip(keys, found["docs"], strict=True):
            if "_source" in item:
                documents[key] = Known(item["_source"], item["_seq_no"], item["_primary_term"])
            elif "error" not in item:
                documents[key] = None
            elif item["error"]["type"] == "index_not_found_exception":
                documents[key] = None
                new = True
        if new:
            await self._templates.put()
        return documents

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
