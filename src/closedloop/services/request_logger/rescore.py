"""Keeps the log scored by the present declarations, and writes these into the log.

A declaration may come after the rows it is about. Every document names the one that it was
scored by, so those scored by another are found by a search, and scored again.
"""

import asyncio
from collections.abc import Iterable
from functools import partial

import structlog

from closedloop.log.mapping import OUTPUTS
from closedloop.log.operations import Operation, groups, overwrite
from closedloop.log.store import End
from closedloop.log.templates import UNAVAILABLE
from closedloop.loop import rfc3339
from closedloop.loop.documents import scored
from closedloop.loop.keys import Predictor
from closedloop.loop.output import Output
from closedloop.loop.sections import Document, predictor_of
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.store import Store

_LOOK = 1.0
# Another logger may not know a declaration yet, and score by the one before.
_AGAIN = 60.0
_PAGE = 500

_log = structlog.get_logger(__name__)


class Rescore:
    """The task that watches the declarations."""

    def __init__(self, store: Store, metrics: Metrics, declared: DeclaredOutputs) -> None:
        self._store = store
        self._metrics = metrics
        self._declared = declared

    async def run(self) -> None:
        """Look again and again, for ever."""
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            try:
                if self._declared.refresh() or loop.time() >= due:
                    due = 0.0
                    await self.look()
                    due = loop.time() + _AGAIN
            except UNAVAILABLE as error:
                _log.warning("the log was not scored again, trying again", error=str(error))
            except Exception:  # noqa: BLE001 - the next look may succeed
                _log.exception("the log was not scored again, trying again")
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Write down the declarations, and score the documents that another one scored.

        Raises one of `templates.UNAVAILABLE`.
        """
        await self._write_down()
        await self._store.refresh()
        for owner in await self._store.owners():
            await self._rescore(owner)

    async def _write_down(self) -> None:
        declared = self._declared.outputs.declared
        names = {"/".join(owner): output for owner, output in declared.items()}
        now = rfc3339.now()
        known = await self._store.digests()
        await self._send(
            overwrite(
                (OUTPUTS, name),
                {"digest": output.digest, "declared_at": now, "output": output.said()},
            )
            for name, output in names.items()
            if known.get(name) != output.digest
        )
        await self._send(overwrite((OUTPUTS, name), None) for name in known if name not in names)

    async def _rescore(self, owner: Predictor) -> None:
        output = self._declared.of(owner)
        seen: set[tuple[str, str]] = set()
        while True:
            found = await self._store.scored_otherwise(
                owner, output.digest if output else None, _PAGE
            )
            # A document that cannot be changed now is tried again the next time.
            keys = [key for key in found if key not in seen]
            if not keys:
                return
            seen.update(keys)
            ended = await self._store.change(dict.fromkeys(keys, partial(_rescored, owner, output)))
            for key, each in ended.items():
                if each.how is End.REFUSED:
                    _log.warning("document not scored again", key=key, error=each.error)
            self._metrics.rescored.inc(sum(each.how is End.WRITTEN for each in ended.values()))
            await self._store.refresh()

    async def _send(self, operations: Iterable[Operation]) -> None:
        for group in groups(list(operations)):
            await self._store.write(group)


def _rescored(
    owner: Predictor, output: Output | None, document: Document | None
) -> Document | None:
    if document is None or predictor_of(document) != owner:
        return None
    return scored(document, output)
