"""Source `events`: rows held here, fed by events and by the log, and kept on disk."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric

from closedloop.log.inference_log import InferenceLog
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import Observation
from closedloop.loop.scoring import Outcome
from closedloop.loop.scoring.counts import Counts
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.kit.labels import LABELS
from closedloop.services.metrics_server.replay import QUIET_SECONDS, Replay
from closedloop.services.metrics_server.settings import Settings
from closedloop.services.metrics_server.source import Ignored, Unavailable
from closedloop.services.metrics_server.state import State
from closedloop.services.metrics_server.store.engine import Damaged, Unwritable
from closedloop.services.metrics_server.store.store import Store, open_store, set_aside

_COMMIT_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_DAY = 86_400.0
_SWEEP_SECONDS = 3600.0

_log = structlog.get_logger(__name__)


class HeldRows:
    """The state, its store, and the tasks that write the one and read the log into the other."""

    def __init__(
        self,
        settings: Settings,
        log: InferenceLog,
        declared: DeclaredOutputs,
        registry: CollectorRegistry,
    ) -> None:
        self._folder = Path(settings.state_folder) if settings.state_folder else None
        self._memory = settings.state_memory_bytes
        self._retention = settings.retention_days * _DAY
        self._damage: Damaged | None = None
        self._fault: str | None = "the rows on disk are not open yet"
        self._new_state: Callable[[Store | None], State] = lambda store: State(
            store,
            settings.predictors,
            output_of=declared.of,
            max_predictors=settings.max_predictors,
        )
        self.state = self._new_state(None)
        self._replay = Replay(
            log,
            self.state,
            registry,
            every=settings.resync_seconds,
            all_every=settings.full_resync_seconds,
            quiet=QUIET_SECONDS,
            redeclared=lambda: declared.refresh() and self.state.redeclare(),
        )
        Gauge(
            "closedloop_store_writable",
            "1 while rows can be written to disk; else no event is taken.",
            registry=registry,
        ).set_function(lambda: self._why_closed() is None)

    def observe(self, observation: Observation) -> Outcome | Ignored:
        if self._fault is not None:
            raise Unavailable(self._fault)
        try:
            return self.state.observe(observation)
        except Damaged as error:
            raise Unavailable(self._damaged(error)) from None

    def counted(self) -> Mapping[Predictor, Counts] | None:
        if not self._replay.restored:
            return None
        state = self.state
        return {each: board for each, board in state.boards.items() if each not in state.incomplete}

    def gauges(self) -> Iterator[Metric]:
        return state_gauges(self.state) if self._replay.restored else iter(())

    def why_not_ready(self) -> str | None:
        return self._why_closed() or self._replay.why_not_ready()

    async def run(self) -> None:
        while True:
            store = await self._opened()
            try:
                await self._keep()
            finally:
                self.state.commit()
                if store is not None:
                    store.close()
            if self._folder is not None and self._damage is not None:
                set_aside(self._folder, self._damage)

    def _why_closed(self) -> str | None:
        return self._fault or self.state.fault

    def _damaged(self, error: Damaged) -> str:
        self._damage = error
        self._fault = f"the rows on disk are damaged and read from the log again: {error}"
        return self._fault

    async def _opened(self) -> Store | None:
        """The store, with the state that it has, as soon as it can be opened."""
        while True:
            try:
                store = open_store(self._folder, self._memory) if self._folder else None
                self.state = self._new_state(store)
                break
            except Damaged as error:
                assert self._folder is not None
                set_aside(self._folder, error)
            except Unwritable as error:
                self._fault = f"the rows on disk cannot be opened, free some or give more: {error}"
                _log.error("the rows on disk cannot be opened", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
        self._damage = self._fault = None
        self._replay.begin(self.state)
        return store

    async def _keep(self) -> None:
        """Keep state and store up to date until the files are found damaged."""
        tasks = [asyncio.create_task(each) for each in (self._replay.run(), self._retire())]
        try:
            while self._damage is None:
                await asyncio.sleep(_RETRY_SECONDS if self.state.fault else _COMMIT_SECONDS)
                self.state.commit()
                for task in tasks:
                    if task.done():
                        task.result()
        except Damaged as error:
            self._damaged(error)
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, Damaged):
                    await task

    async def _retire(self) -> None:
        """Let go of rows that are too old, where a setting says so, every hour."""
        while True:
            if self._retention and self._replay.restored:
                # A whole hour, as Elasticsearch compares to the millisecond.
                before = (time.time() - self._retention) // 3600 * 3600
                try:
                    for _ in self.state.retire(before):
                        await asyncio.sleep(0)
                except Unwritable as error:
                    _log.warning("rows that are too old are still held", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS if self._replay.restored else _RETRY_SECONDS)


def state_gauges(state: State) -> Iterator[Metric]:
    """The gauges of rows held."""
    yield GaugeMetricFamily("closedloop_rows_held", "Rows held, of all predictors.", state.held)
    yield GaugeMetricFamily("closedloop_state_complete", "1 once every row known of is held.", 1)
    mismatch = GaugeMetricFamily(
        "closedloop_replay_mismatch",
        "Counts that differ from the log's, at the last quiet moment.",
        labels=LABELS,
    )
    for predictor, cells in sorted(state.mismatches.items()):
        mismatch.add_metric(predictor, cells)
    yield mismatch
    retired = GaugeMetricFamily(
        "closedloop_rows_retired",
        "Rows that are counted and too old to be held (RETENTION_DAYS).",
        labels=LABELS,
    )
    since = GaugeMetricFamily(
        "closedloop_rows_retired_since_timestamp_seconds",
        "The time of the earliest answer among them.",
        labels=LABELS,
    )
    for predictor, board in sorted(state.boards.items()):
        retired.add_metric(predictor, sum(board.retired.states.values()))
        if (began := state.since(predictor)) is not None:
            since.add_metric(predictor, began)
    yield from (retired, since)
