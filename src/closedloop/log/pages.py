"""Paging an inference log of any size, and the documents of one predictor in order.

The queries keep to what Elasticsearch and its compatible servers share: no
scripts, no point in time, no sorting by document id. An index's name does not
name its owner: `iris-perf` in `default` and `perf-default` of `iris` share
one, and so do `Iris` and `iris`. Every read filters by the owner's fields.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from elasticsearch import Elasticsearch, NotFoundError
from elasticsearch.helpers import scan

from closedloop.log.operations import REQUEST_BYTES
from closedloop.log.period import Filter
from closedloop.loop.keys import (
    OWNER,
    Predictor,
    index_name,
    kept_apart,
    owned_by,
)

Hit = Mapping[str, object]
Source = Mapping[str, object]
Key = tuple[str, int]

SCORED: Filter = {"exists": {"field": "score.correct"}}

# One page's hits are all that is held at a time: a few milliseconds of work.
PAGE = 1000

SAMPLE = 3
"""Documents of a log that tell the size of its pages."""


class NothingLoggedError(LookupError):
    """A predictor has no log; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Log:
    """The log of one predictor: its index, and the owner of its documents there."""

    predictor: Predictor
    index: str

    @property
    def filters(self) -> list[Filter]:
        """The filters of every query of this log."""
        return [*owned_by(self.predictor)]

    def aggregate(
        self,
        client: Elasticsearch,
        filters: Sequence[Filter],
        aggregations: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """The answer to one search of the documents that pass the filters, without documents."""
        answer = client.search(
            index=self.index,
            size=0,
            query={"bool": {"filter": [*self.filters, *filters]}},
            aggs=aggregations,
        )
        return cast(Mapping[str, Any], answer.body)

    def holds(self, document: Source) -> bool:
        """Whether a document that was read by its id is of this log."""
        return tuple(document.get(field) for field in OWNER) == self.predictor

    def names(self, document_id: str) -> tuple[str, str]:
        """The ids that a document can have here: its own, and where another owner has that one."""
        return document_id, kept_apart(document_id, self.predictor)

    def plain(self, document_id: str) -> str:
        """A document's own id, the same in the log of another predictor."""
        return document_id.removesuffix(kept_apart("", self.predictor))


def open_log(client: Elasticsearch, namespace: str, deployment: str, predictor: str) -> Log:
    """A predictor's log, with everything acknowledged visible to searches.

    Raises NothingLoggedError when it has none.
    """
    log = Log(
        Predictor(namespace, deployment, predictor), index_name(namespace, deployment, predictor)
    )
    unlogged = (
        f"predictor {predictor} of {namespace}/{deployment} has logged nothing yet;"
        " check its name, and its graph's logger.mode"
    )
    try:
        client.indices.refresh(index=log.index)
    except NotFoundError:
        raise NothingLoggedError(f"index {log.index} does not exist: {unlogged}") from None
    of_this = {"bool": {"filter": log.filters}}
    if not client.count(index=log.index, query=of_this)["count"]:
        raise NothingLoggedError(f"index {log.index} is of another predictor: {unlogged}")
    return log


def paging(
    query: Filter,
    fields: Sequence[str],
    order: Sequence[Mapping[str, str]] = (),
    *,
    page: int = PAGE,
) -> dict[str, Any]:
    """The arguments of `elasticsearch.helpers.scan` and `async_scan` for these fields of every
    document that a query finds, each once, as they were when the first page was read.

    Scroll is used, as point-in-time searches are not understood by every server that speaks
    Elasticsearch's API.
    """
    return {
        "query": {"query": query, **({"sort": [*order]} if order else {})},
        "size": page,
        "preserve_order": bool(order),
        "source_includes": [*fields],
    }


def page_size(sampled: Iterable[Source], most: int = PAGE) -> int:
    """Documents of a page of a few megabytes at most, were all of them like the largest of these.

    What a model is asked, or answers, may be as large as a whole page of the iris example's.
    """
    largest = max((len(json.dumps(each)) for each in sampled), default=1)
    return max(1, min(most, REQUEST_BYTES // largest))


def by_request(
    client: Elasticsearch,
    log: Log,
    filters: Sequence[Filter],
    fields: Sequence[str],
    *,
    page: int = PAGE,
) -> Iterator[tuple[Key, dict[str, Source]]]:
    """The documents of each (request id, row), in that order, by their own id (`Log.plain`).

    Almost always there is one; two where an id was used for a single row and
    for a batch. Memory is bounded by the page: of large documents it has fewer.

    The order is that of Python's strings: Elasticsearch sorts keywords by their
    UTF-8 bytes, which is the same. Raises RuntimeError for a server that does
    otherwise: a join of two logs would lose rows by it.
    """
    order = [{"RequestId": "asc"}, {"Row": "asc"}]
    query = {"bool": {"filter": [*log.filters, *filters]}}
    wanted = ["RequestId", "Row", *fields]
    some = client.search(index=log.index, query=query, size=SAMPLE, source_includes=wanted)
    size = page_size((hit["_source"] for hit in some["hits"]["hits"]), page)
    asked = paging(query, wanted, order, page=size)
    hits = scan(client, index=log.index, **asked)
    before: Key | None = None
    for key, group in groupby(hits, key=_key):
        if before is not None and key < before:
            raise RuntimeError(
                f"the search server sorts {before} before {key}: use one that sorts keywords"
                " by their bytes, as Elasticsearch does"
            )
        before = key
        yield key, {log.plain(str(hit["_id"])): cast(Source, hit["_source"]) for hit in group}


def _key(hit: Hit) -> Key:
    source = cast(Source, hit["_source"])
    return str(source["RequestId"]), cast(int, source["Row"])


def correct(source: Source) -> bool:
    """Whether a scored document's answer is right."""
    return bool(cast(Source, source["score"])["correct"])
