"""Source `events`: rows held here, fed by events and by the log."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
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
from closedloop.services.metrics_server.source import Ignored
from closedloop.services.metrics_server.state import State


class HeldRows:
    """The state and the task that reads the log into it."""

    def __init__(
        self,
        settings: Settings,
        log: InferenceLog,
        declared: DeclaredOutputs,
        registry: CollectorRegistry,
    ) -> None:
        self.state = State(
            settings.row_limit,
            settings.predictors,
            output_of=declared.of,
            max_predictors=settings.max_predictors,
        )
        self._replay = Replay(
            log,
            self.state,
            registry,
            every=settings.resync_seconds,
            all_every=settings.full_resync_seconds,
            quiet=QUIET_SECONDS,
            redeclared=lambda: declared.refresh() and self.state.redeclare(),
        )

    def observe(self, observation: Observation) -> Outcome | Ignored:
        return self.state.observe(observation)

    def counted(self) -> Mapping[Predictor, Counts] | None:
        if not self._replay.restored:
            return None
        state = self.state
        return {each: board for each, board in state.boards.items() if each not in state.incomplete}

    def gauges(self) -> Iterator[Metric]:
        return state_gauges(self.state) if self._replay.restored else iter(())

    def why_not_ready(self) -> str | None:
        return self._replay.why_not_ready()

    async def run(self) -> None:
        await self._replay.run()


def state_gauges(state: State) -> Iterator[Metric]:
    """The gauges of rows held."""
    yield GaugeMetricFamily(
        "closedloop_rows_held", "Rows held, of all predictors.", state.capacity.held
    )
    yield GaugeMetricFamily("closedloop_row_limit", "ROW_LIMIT.", state.capacity.limit)
    yield GaugeMetricFamily(
        "closedloop_rows_missing", "Rows not held for want of room below ROW_LIMIT.", state.missing
    )
    yield GaugeMetricFamily(
        "closedloop_state_complete", "1 while every row known of is held.", not state.missing
    )
    mismatch = GaugeMetricFamily(
        "closedloop_replay_mismatch",
        "Counts that differ from the log's, at the last quiet moment.",
        labels=LABELS,
    )
    for predictor, cells in sorted(state.mismatches.items()):
        mismatch.add_metric(predictor, cells)
    yield mismatch
