"""Reading one predictor's inference log, whatever its size, in one shape of query.

The queries keep to what Elasticsearch and its compatible servers share: no
scripts, no point in time, no sorting by document id.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import cast

from elasticsearch import Elasticsearch, NotFoundError

from closedloop.documents import index_name
from closedloop.history.period import Filter

Hit = Mapping[str, object]
Source = Mapping[str, object]
Key = tuple[str, int]

SCORED: Filter = {"exists": {"field": "score.correct"}}

# One page's hits are all that is held at a time.
PAGE = 2000


class NothingLoggedError(LookupError):
    """A predictor has no log; the message says which and what to do."""


def open_index(client: Elasticsearch, namespace: str, deployment: str, predictor: str) -> str:
    """The name of a predictor's index, with everything acknowledged visible to searches.

    Raises NothingLoggedError when there is no such index.
    """
    index = index_name(namespace, deployment, predictor)
    try:
        client.indices.refresh(index=index)
    except NotFoundError:
        raise NothingLoggedError(
            f"index {index} does not exist: predictor {predictor} of {namespace}/{deployment}"
            " has logged nothing yet; check its name, and its graph's logger.mode"
        ) from None
    return index


def by_request(
    client: Elasticsearch,
    index: str,
    filters: Sequence[Filter],
    fields: Sequence[str],
    *,
    page: int = PAGE,
) -> Iterator[tuple[Key, dict[str, Source]]]:
    """The documents of each (request id, row), in that order, by document id.

    Almost always there is one; two where an id was used for a single row and
    for a batch. Memory is bounded by the page.
    """
    hits = _sorted_hits(client, index, filters, ["RequestId", "Row", *fields], page)
    for key, group in groupby(hits, key=_key):
        yield key, {str(hit["_id"]): cast(Source, hit["_source"]) for hit in group}


def _sorted_hits(
    client: Elasticsearch,
    index: str,
    filters: Sequence[Filter],
    fields: Sequence[str],
    page: int,
) -> Iterator[Hit]:
    after: list[str | int] | None = None
    while True:
        answer = client.search(
            index=index,
            size=page,
            query={"bool": {"filter": list(filters)}},
            sort=[{"RequestId": "asc"}, {"Row": "asc"}],
            source_includes=list(fields),
            track_total_hits=False,
            search_after=after,
        )
        hits = answer["hits"]["hits"]
        yield from hits
        if len(hits) < page:
            return
        after = hits[-1]["sort"]


def _key(hit: Hit) -> Key:
    source = cast(Source, hit["_source"])
    return str(source["RequestId"]), cast(int, source["Row"])


def correct(source: Source) -> bool:
    """Whether a scored document's answer is right."""
    return bool(cast(Source, source["score"])["correct"])
