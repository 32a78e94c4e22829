"""Keeps the log scored by what is declared now, and says in the log what that is.

A declaration may come after the rows it is about. Every document names the one that it was
scored by, so those scored by another are found by a search, and scored again.
"""

import asyncio
from collections.abc import Iterable

import structlog

from closedloop.log.mapping import OUTPUTS
from closedloop.log.templates import UNAVAILABLE
from closedloop.loop import rfc3339
from closedloop.loop.documents import scored
from closedloop.loop.keys import Predictor
from closedloop.loop.parts import predictor_of
from closedloop.services.kit.declared import DeclaredOutputs
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.operations import Operation, overwrite, replace
from closedloop.services.request_logger.store import Store, groups

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
        """For ever."""
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
            except Exception:  # noqa: BLE001 - whatever one look met, the next may succeed
                _log.exception("the log was not scored again, trying again")
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Once: write down the declarations, and score what another one scored.

        Raises one of `index_templates.UNAVAILABLE`.
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
            # What cannot be changed now is tried again the next time.
            keys = [key for key in found if key not in seen]
            if not keys:
                return
            seen.update(keys)
            operations = []
            for key, known in (await self._store.read(keys)).documents.items():
                try:
                    if known is not None and predictor_of(known.source) == owner:
                        operations.append(replace(key, known, scored(known.source, output), 1))
                # What another writer began need not have our shape.
                except (ValueError, KeyError, TypeError) as error:
                    _log.warning("document not readable", key=key, error=str(error))
            await self._send(operations)
            self._metrics.rescored.inc(len(operations))
            await self._store.refresh()

    async def _send(self, operations: Iterable[Operation]) -> None:
        for group in groups(list(operations)):
            await self._store.write(group)
