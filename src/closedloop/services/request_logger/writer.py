"""Writes batches: read, merge, write; again where another writer was faster."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from closedloop.log.operations import Operation, groups
from closedloop.log.store import ROUNDS, pause
from closedloop.log.templates import UNAVAILABLE
from closedloop.loop.keys import Predictor
from closedloop.loop.output import Output
from closedloop.services.request_logger.answers import ANSWER_FIELDS
from closedloop.services.request_logger.backlog import Backlog
from closedloop.services.request_logger.batch import Batch, Tally
from closedloop.services.request_logger.dead_letters import DeadLetter, dead_letter
from closedloop.services.request_logger.entry import Answer, Entry
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.settings import Settings
from closedloop.services.request_logger.store import Store

_LATEST_ANSWER = 0.2  # seconds, should the next batch not come to its write

_log = structlog.get_logger(__name__)


class Writer:
    """Takes batches from the backlog and writes them, one at a time."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        settings: Settings,
        output_of: Callable[[Predictor], Output | None] = lambda _: None,
        batches_answered: Callable[[Iterable[tuple[Predictor, str]]], None] = lambda _: None,
    ) -> None:
        """`output_of` gives the declared output of a predictor; `batches_answered` gets
        the predictor and request id of each answer of several rows: feedback may wait for it."""
        self._store = store
        self._output_of = output_of
        self._batches_answered = batches_answered
        self._metrics = metrics
        self._settings = settings
        self._kept: list[Entry] = []  # written, and not yet answered

    async def run(self, backlog: Backlog) -> None:
        """Write until the backlog is closed and drained."""
        loop = asyncio.get_running_loop()
        pause = self._settings.batch_milliseconds / 1000
        while True:
            if backlog.waiting < self._settings.batch_events:
                self._answer()  # their senders' next events are part of the next batch
            entries = await backlog.gather(self._settings.batch_events, pause)
            if not entries:
                break
            loop.call_later(_LATEST_ANSWER, self._answer)
            try:
                await self.write(entries)
            except Exception:  # noqa: BLE001 - the next batches are written
                _log.exception("a batch failed")
                self._answer()
                for entry in entries:
                    entry.settle(Answer.UNAVAILABLE)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write until every entry is answered.

        While Elasticsearch is away this goes on until the entries' deadline
        has passed; a document that conflicts, or is refused for now, is given
        up after a number of rounds.
        """
        for entry in entries:
            if entry.observation is not None:
                self._metrics.logged(entry.owner)
        batch = Batch(entries, self._reject, self._kept.append, self._output_of)
        rounds = failures = 0
        while batch:
            try:
                await self._round(batch)
                rounds, failures = rounds + 1, 0
            except UNAVAILABLE as error:
                failures += 1
                _log.warning("elasticsearch did not take a batch", error=str(error))
            if batch and rounds == ROUNDS:
                _log.warning("documents given up", documents=batch.documents()[:10])
                batch.give_up()
            if batch:
                self._answer()
                await asyncio.sleep(pause(rounds + failures))
                batch.forget_settled()
        self._batches_answered(answers_of_several_rows(entries))

    async def _round(self, batch: Batch) -> None:
        if letters := batch.letters():
            # Read for its effect: a new index needs its template first.
            await self._store.read([letter.key for letter in letters])
            await self._send(batch, letters)
        if asked := batch.to_place():
            batch.place((await self._store.read(asked, ANSWER_FIELDS)).documents)
        for i, portion in enumerate(self._store.portions(batch.documents(), batch.is_read)):
            some = portion
            if i:  # a batch of many rows takes its time, and nobody may wait for it any more
                batch.forget_settled()
                some = batch.waiting_of(portion)
            if some:
                # A new document is only refused by the index that takes it, not by older ones.
                looked = await self._store.rolled_over(some)
                found = await self._store.read(some if looked else batch.to_read(some))
                refused = await self._store.without_room(
                    found.absent, self._settings.max_predictors
                )
                await self._store.begin(found.absent.difference(refused))
                for index in refused:
                    batch.refuse_index(
                        index,
                        "too_many_predictors",
                        f"there are {self._settings.max_predictors} indices of the log already:"
                        " raise MAX_PREDICTORS, or delete one",
                    )
                if looked:
                    some = [key for key in some if key in found.documents]
                await self._send(batch, batch.operations(some, found.documents))

    async def _send(self, batch: Batch, operations: list[Operation]) -> None:
        for group in groups(operations):
            writing = asyncio.ensure_future(self._store.write(group))
            # Answering thousands, and receiving their next events, takes as long as a
            # write: it is done while one is under way, which it is after this.
            await asyncio.sleep(0)
            self._answer()
            for operation, result in zip(group, await writing, strict=True):
                batch.resolve(operation, result)
            self._count(batch)

    def _answer(self) -> None:
        for entry in self._kept:
            entry.acknowledge()
        self._kept.clear()

    def _reject(self, entry: Entry, reason: str, error: str) -> DeadLetter:
        self._metrics.failed(reason)
        return dead_letter(
            entry.headers,
            entry.body,
            reason,
            error,
            keep=self._settings.dead_letter_bytes,
        )

    def _count(self, batch: Batch) -> None:
        tally, batch.tally = batch.tally, Tally()
        self._metrics.written(tally.written)
        self._metrics.conflicts.inc(tally.conflicts)
        for entry, reason in tally.letters:
            self._metrics.dead_letter(entry.owner, reason)
        for owner in tally.reused:
            self._metrics.reused(owner)
        for error in tally.letters_refused:
            _log.error("elasticsearch refuses a dead letter", error=error)


def answers_of_several_rows(entries: Iterable[Entry]) -> Iterator[tuple[Predictor, str]]:
    """Predictor and request id of each answer that has more rows than one."""
    for entry in entries:
        said = entry.observation
        if said is not None and said.rows is not None and said.entries > 1:
            yield entry.owner, said.event.request_id
