"""The documents of the log for a client that blocks, with no event loop of its own."""

import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

from elasticsearch import AsyncElasticsearch, Elasticsearch

from closedloop.log.operations import Key, Known
from closedloop.log.store import Change, Documents, Ended, Place

_T = TypeVar("_T")


class BlockingDocuments:
    """`Documents`, read and written when it is asked for. Every method raises one of
    `templates.UNAVAILABLE`."""

    def __init__(self, client: Elasticsearch) -> None:
        self._documents = Documents(cast(AsyncElasticsearch, _Blocking(client)), sleep=_sleep_now)

    def merge(self, changes: Mapping[Place, Change]) -> dict[Place, Ended]:
        """`Documents.merge`."""
        return _at_once(self._documents.merge(changes))

    def read(self, keys: Sequence[Key]) -> dict[Key, Known | None]:
        """`Documents.read`."""
        return _at_once(self._documents.read(keys)).documents


class _Blocking:
    """A client whose calls are awaited, and done when they are made."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client

    async def mget(self, **asked: Any) -> Any:
        return self._client.mget(**asked)

    async def perform_request(self, *asked: Any, **more: Any) -> Any:
        return self._client.perform_request(*asked, **more)


async def _sleep_now(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop that it could hold up


def _at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return cast(_T, stop.value)
    raise RuntimeError("a call to a client that blocks was not done when it was made")
