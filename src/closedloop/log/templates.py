"""Keep index templates in Elasticsearch, so that no index is ever created with guessed mappings.

A template only speaks when an index is created, and a search server may come
back empty. So templates are not put once but watched.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch

Template = Mapping[str, Any]

# The errors of a call when Elasticsearch is away, refuses, or is something else.
UNAVAILABLE = (ApiError, TransportError)

_log = structlog.get_logger(__name__)


def template(pattern: str, properties: Mapping[str, object]) -> Template:
    """An index template: explicit fields, everything else readable but not indexed."""
    return {
        "index_patterns": [pattern],
        "priority": 500,  # above any template that a cluster has for all indices
        "template": {
            # A second copy where there is a second node: alone it would wait for a place for ever.
            "settings": {"auto_expand_replicas": "0-1"},
            "mappings": {"dynamic": False, "properties": properties},
        },
    }


class IndexTemplates:
    """The templates a service needs, by name, and whether they were in place.

    `policies` are put with them, by name: policies of index lifecycle management.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        templates: Mapping[str, Template],
        policies: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._client = client
        self._templates = templates
        self._policies = policies or {}
        self._reason: str | None = "the index templates are not in place yet"

    def why_not_ready(self) -> str | None:
        """The reason why the templates are not in place; None from when they once were.

        While Elasticsearch is away later the service itself waits for it and answers 503
        in the end. Without a ready pod every try of a sender would fail at once instead.
        """
        return self._reason

    async def put(self) -> None:
        """Put every policy and template. Raises one of `UNAVAILABLE`."""
        for name, policy in self._policies.items():
            await self._client.ilm.put_lifecycle(name=name, policy=policy)
        for name, body in self._templates.items():
            await self._client.indices.put_index_template(name=name, **body)
        _log.info("index templates put", names=list(self._templates))

    async def watch(self, every: float = 1.0) -> None:
        """Put the templates, then put them again whenever one is gone, for ever."""
        complete = False
        while True:
            try:
                if not complete:
                    await self.put()
                complete = await self._complete()
                if complete:
                    self._reason = None
            except UNAVAILABLE as error:
                complete = False
                if self._reason:
                    self._reason = f"Elasticsearch is not available: {error}"
                _log.warning("elasticsearch is not available", error=str(error))
            await asyncio.sleep(every)

    async def _complete(self) -> bool:
        for name in self._templates:
            if not await self._client.indices.exists_index_template(name=name):
                return False
        return True
