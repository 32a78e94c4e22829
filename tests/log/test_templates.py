import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from elastic_transport import TransportError
from elasticsearch import AsyncElasticsearch

from closedloop.log.templates import IndexTemplates, template
from tests.elasticsearch import running_elasticsearch


class Elastic:
    """As much of Elasticsearch's client as keeping templates takes; `away` is how it begins."""

    def __init__(self) -> None:
        self.indices = self
        self.away = True
        self.refused = 0
        self.held: set[str] = set()

    async def put_index_template(self, *, name: str, **_: Any) -> None:
        self._answer()
        self.held.add(name)

    async def exists_index_template(self, *, name: str) -> bool:
        self._answer()
        return name in self.held

    def _answer(self) -> None:
        if self.away:
            self.refused += 1
            raise TransportError("nobody listens")


@asynccontextmanager
async def watched(elastic: Elastic) -> AsyncIterator[IndexTemplates]:
    templates = IndexTemplates(
        cast(AsyncElasticsearch, elastic),
        {"one": template("one-*", {}), "two": template("two", {})},
    )
    watching = asyncio.create_task(templates.watch(every=0.001))
    try:
        async with asyncio.timeout(60):
            yield templates
    finally:
        watching.cancel()


async def refused_again(elastic: Elastic) -> None:
    seen = elastic.refused
    while elastic.refused == seen:
        await asyncio.sleep(0)


async def test_not_ready_before_the_templates_were_in_place() -> None:
    elastic = Elastic()
    async with watched(elastic) as templates:
        assert "not in place yet" in (templates.why_not_ready() or "")
        await refused_again(elastic)
        await asyncio.sleep(0)
        assert "not available" in (templates.why_not_ready() or "")
        elastic.away = False
        while templates.why_not_ready():
            await asyncio.sleep(0)
    assert elastic.held == {"one", "two"}


async def test_ready_for_good_and_templates_that_are_gone_are_put_again() -> None:
    elastic = Elastic()
    async with watched(elastic) as templates:
        elastic.away = False
        while templates.why_not_ready():
            await asyncio.sleep(0)
        elastic.away = True
        for _ in range(2):  # by the second, the watch has dealt with the first
            await refused_again(elastic)
        assert templates.why_not_ready() is None
        elastic.held.clear()
        elastic.away = False
        while elastic.held != {"one", "two"}:
            await asyncio.sleep(0)
        assert templates.why_not_ready() is None


async def test_a_new_index_is_as_its_template_says() -> None:
    keyword = {"x": {"type": "keyword"}}
    with running_elasticsearch() as url:
        async with AsyncElasticsearch(url) as client:
            await IndexTemplates(client, {"one": template("one-*", keyword)}).put()
            await client.index(index="one-a", document={"x": "y", "z": 1})
            (made,) = (await client.indices.get(index="one-a")).body.values()
    assert made["mappings"] == {"dynamic": "false", "properties": keyword}
    assert made["settings"]["index"]["auto_expand_replicas"] == "0-1"
