"""Reads the inference log into the state: all of it at start, then new documents again and again.

The start makes a new process as good as the one before. The later reads bring events
that delivery lost, and compare the counts with those of Elasticsearch.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Gauge
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from closedloop.log.inference_log import InferenceLog
from closedloop.loop import rfc3339
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import Predictor
from closedloop.loop.sections import predictor_of
from closedloop.services.metrics_server.reading import Reading
from closedloop.services.metrics_server.state import OVERLAP_SECONDS, State
from closedloop.services.metrics_server.store.engine import Damaged

_LOOK = 1.0  # seconds between looks at the declarations
_AT_ONCE = 25  # documents taken in between two pauses: a millisecond, in which no event is taken
_TELL = 10.0  # seconds between two words about how far the first read is
# Long enough for the loggers' batches and Elasticsearch's refresh.
QUIET_SECONDS = 3.0

_log = structlog.get_logger(__name__)


class Replay:
    """The task that reads the log; `run` ends only when cancelled."""

    def __init__(
        self,
        log: InferenceLog,
        state: State,
        registry: CollectorRegistry,
        *,
        every: float,
        all_every: float,
        quiet: float,
        redeclared: Callable[[], bool] = lambda: False,
    ) -> None:
        """`every` and `all_every`: seconds between reads of new documents, and of all.

        Counts are compared when no event changed the state for `quiet` seconds.
        `redeclared` is asked every second whether rows have to be read again.
        """
        self._log = log
        self._state = state
        self._every = every
        self._all_every = all_every
        self._quiet = quiet
        self._redeclared = redeclared
        self._reason: str | None = "restoring from Elasticsearch: no document read yet"
        self._read = self._there = 0
        self._last_success = self._last_full = self._last_change = time.monotonic()
        self._changes = 0
        self._compared: int | None = None
        self._explained: dict[Predictor, int] = {}
        self._told = Reading(registry, lambda: time.monotonic() - self._last_success)
        self._progress = Gauge(
            "closedloop_restore_documents",
            "Documents of the log: read by the first read, and as many as there were at its start.",
            ["documents"],
            registry=registry,
        )

    def begin(self, state: State) -> None:
        """The next `run` is about this state."""
        self._state = state
        self._reason = "restoring from Elasticsearch: no document read yet"
        self._compared = None
        self._explained = {}

    @property
    def restored(self) -> bool:
        return self._reason is None

    def why_not_ready(self) -> str | None:
        """The reason why not everything in the log was read yet, None once it was."""
        return self._reason

    async def run(self) -> None:
        """Restore, trying until that succeeds, then resync for ever.

        Raises `Damaged` when the rows on disk are.
        """
        trying = AsyncRetrying(
            wait=wait_exponential(0.1, max=5),
            before_sleep=self._not_yet,
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        await trying(self._restore)
        while True:
            try:
                again = await self._pause()
                await self._resync(everything=again)
            except Damaged:
                raise
            # The next read may succeed, and the state is whole without this one.
            except Exception as error:  # noqa: BLE001
                self._told.errors.inc()
                _log.warning("resync failed", error=str(error))

    async def _restore(self) -> None:
        started = time.monotonic()
        until = self._state.read_until
        since = until - OVERLAP_SECONDS if until and not self._state.incomplete else None
        self._there = await self._log.size(since)
        self._progress.labels("there").set(self._there)
        await self._read_log(since)
        if self._state.in_memory:
            _spare_rows()
        self._progress.labels("read").set(self._read)
        self._reason = None
        _log.info(
            "restored",
            documents=self._read,
            seconds=time.monotonic() - started,
            rows_from_disk=since is not None,
        )

    def _not_yet(self, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        self._told.errors.inc()
        self._reason = f"cannot restore from Elasticsearch, trying again: {error}"
        _log.warning("restore failed, trying again", error=str(error))

    async def _pause(self) -> bool:
        """Wait until it is time to read again; whether all of the log, for new declarations."""
        until = time.monotonic() + self._every
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK))
            if self._redeclared():
                return True
        return False

    async def _resync(self, *, everything: bool) -> None:
        everything = (
            everything
            or bool(self._state.incomplete)
            or time.monotonic() - self._last_full >= self._all_every
            or self._may_be_gone()
        )
        latest = self._state.read_until
        await self._read_log(latest - OVERLAP_SECONDS if latest and not everything else None)
        if everything and self._state.in_memory:
            _spare_rows()
        if self._is_quiet() and (everything or self._compared != self._state.changes):
            before = self._state.changes
            logged = await self._log.counts(self._state.horizon)
            if before == self._state.changes:
                self._state.compare(logged)
                self._compared = before
                if everything:
                    self._explained = dict(self._state.mismatches)

    def _may_be_gone(self) -> bool:
        """Whether a read of the whole log may prove rows gone: one missed some, or there are other
        differences from the log than after the last one."""
        differ = any(self._state.mismatches.values())
        return time.monotonic() - self._last_full >= OVERLAP_SECONDS and (
            self._state.census.suspects > 0
            or (differ and self._state.mismatches != self._explained)
        )

    async def _read_log(self, since: float | None) -> None:
        """Read all documents, or those logged `since`."""
        started, now = time.monotonic(), time.time()
        self._read = 0
        latest = 0.0
        told = started
        if since is None:
            self._state.count_against_log(started)
        async for name, document in self._log.documents(since):
            self._read += 1
            if self._read % _AT_ONCE == 0:
                told = self._tell(started, told)
                await asyncio.sleep(0)
            latest = max(latest, _logged_at(document))
            try:
                news = self._state.restore(document)
            except InvalidEvent as error:
                self._told.unreadable.inc()
                _log.warning("document not readable", id=name, error=str(error))
                continue
            if self.restored and news:
                self._told.healed.labels(*predictor_of(document)).inc()
        # A logger whose clock is ahead must not hide the documents of others.
        self._state.read_until = max(self._state.read_until, min(latest, now))
        self._last_success = started
        if since is None:
            self._last_full = started
            self._state.incomplete.clear()
            await self._forget()
        for predictor in self._state.boards:
            self._told.know(predictor)

    def _tell(self, started: float, told: float) -> float:
        """Say how far the first read is; when its log was last told so."""
        if self.restored:
            return told
        self._reason = f"restoring from Elasticsearch: {self._read} of {self._there} documents read"
        self._progress.labels("read").set(self._read)
        if (now := time.monotonic()) - told < _TELL:
            return told
        _log.info("restoring", documents=self._read, of=self._there, seconds=now - started)
        return now

    async def _forget(self) -> None:
        gone: Counter[Predictor] = Counter()
        for predictor in self._state.forget_what_is_gone():
            if predictor is None:
                await asyncio.sleep(0)
            else:
                gone[predictor] += 1
        for predictor, count in gone.items():
            self._told.forgotten.labels(*predictor).inc(count)
            _log.warning("rows are gone from the log", predictor=predictor, rows=count)

    def _is_quiet(self) -> bool:
        if self._state.changes != self._changes:
            self._changes = self._state.changes
            self._last_change = time.monotonic()
        return time.monotonic() - self._last_change >= self._quiet


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, Damaged)


def _spare_rows() -> None:
    """Keep garbage collections from visiting all rows, which live as long as the process.

    That took 0.13 s for 300,000 rows, and no event was answered meanwhile. Any other
    object alive now would never be freed if it ends in a cycle, so this is done
    seldom, and the objects spared before are visited once.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _logged_at(document: Mapping[str, object]) -> float:
    """Seconds since the epoch; 0 where the log does not say."""
    try:
        return rfc3339.nanoseconds(str(document.get("logged_at", ""))) / 1e9
    except ValueError:
        return 0.0
