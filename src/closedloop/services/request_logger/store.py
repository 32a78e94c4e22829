"""The inference log as the request logger uses it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from elasticsearch import AsyncElasticsearch

from closedloop.log.counts import Buckets
from closedloop.log.mapping import OUTPUTS
from closedloop.log.operations import Key
from closedloop.log.store import Documents
from closedloop.log.templates import IndexTemplates
from closedloop.loop import rfc3339
from closedloop.loop.keys import (
    INDEX_PATTERN,
    OWNER,
    Predictor,
    logs_of,
    owned_by,
)
from closedloop.loop.sections import LENT_TO

Filter = Mapping[str, object]


class Store(Documents):
    """The documents of the log, and the searches for those to look at again.

    `lifecycle` is the policy by which logs roll over that begin from now on, "" for none. Every
    method raises one of `templates.UNAVAILABLE`.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        templates: IndexTemplates | None = None,
        lifecycle: str = "",
    ) -> None:
        super().__init__(client, templates)
        self._lifecycle = lifecycle
        self._managed: set[str] = set()

    async def without_room(self, absent: Collection[str], most: int) -> list[str]:
        """Those of the log's indices that are not there, and may not be made: `most` may be."""
        new = sorted(name for name in absent if fnmatchcase(name, INDEX_PATTERN))
        if not new:
            return []
        there = await self._client.indices.get(
            index=INDEX_PATTERN, filter_path="*.aliases", allow_no_indices=True
        )
        logs = {
            log
            for index, said in there.items()
            for log in logs_of(index, said["aliases"]) or [index]
        }
        return new[max(0, most - len(logs)) :]

    async def begin(self, logs: Iterable[str]) -> None:
        """Create the first index of each log that is to roll over, behind an alias of its name."""
        for name in logs if self._lifecycle else ():
            if fnmatchcase(name, INDEX_PATTERN):
                # 400: another logger was faster.
                await self._client.options(ignore_status=400).indices.create(
                    index=f"{name}-000001", aliases={name: {"is_write_index": True}}
                )
                self._stale = True

    async def look_for_rollovers(self) -> None:
        """As it is for every log; and have the newest index of each roll over in its turn."""
        await super().look_for_rollovers()
        for alias, indices in self._rolled.items() if self._lifecycle else ():
            newest = indices[-1]
            if newest not in self._managed:
                # Rolling over copies no settings, and a template cannot know the alias.
                said = {"name": self._lifecycle, "rollover_alias": alias}
                await self._client.indices.put_settings(
                    index=newest, settings={"index.lifecycle": said}
                )
                self._managed.add(newest)

    async def waiting(self, since: float | None, most: int) -> list[Key]:
        """Feedback that may have to be brought to its answer: feedback without one that was written
        since a moment (seconds since the epoch), and lent feedback that has one.

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
        """The predictors that have a log."""
        buckets, found = Buckets(OWNER), []
        while not buckets.done:
            answer = await self._client.search(
                index=INDEX_PATTERN,
                size=0,
                query={"bool": {"filter": list(filters)}},
                aggregations=buckets.aggregations,
                allow_no_indices=True,
                ignore_unavailable=True,
            )
            found += buckets.read(answer.body)
        return [Predictor(*(bucket["key"][field] for field in OWNER)) for bucket in found]

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
        """Make acknowledged writes visible to searches."""
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
