"""What the rules make of the difference between calls answered and events that arrived."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.manifests.rule_tests import INTERVALS, MODEL, Expected, Scraped, firing, objections

ALERT = "EventsLost"
every_interval = pytest.mark.parametrize("every", INTERVALS)

EXECUTOR = {"namespace": "seldon", "deployment_name": "sklearn", "predictor_name": "default"}
SERVICES = {"response": "predictions", "feedback": "feedback"}


@dataclass(frozen=True)
class Loop:
    """Calls at a steady rate from `start` to `end`, each with its feedback, and their events.

    `lag` is how long an event takes, `late` how much later than the executor a service is
    scraped (negative: earlier), both in seconds. `lost` and `unlogged` are how many responses
    and how many feedbacks of the first calls never reach the metrics server and the log.
    `away` is when the metrics server is, and `restarts` whether it is another process then.
    """

    start: int = 60
    end: int = 200
    rate: int = 3
    lag: float = 0.0
    late: float = 0.0
    lost: tuple[int, int] = (0, 0)
    unlogged: tuple[int, int] = (0, 0)
    again: int = 0
    healed: int = 0
    refused: int = 0
    away: range = range(0)
    restarts: bool = False
    born: int = 0
    logger: bool = True
    seconds: int = 400

    def calls(self, at: float) -> int:
        """How many were answered by then."""
        return int(max(0.0, min(at, self.end) - self.start) * self.rate)

    def series(self, every: int) -> list[Scraped]:
        times = range(0, self.seconds, every)
        return [*self.executor(times), *self.metrics_server(times), *self.request_logger(times)]

    def executor(self, times: Sequence[int]) -> list[Scraped]:
        """Its series begin with the first call."""
        counts = [self.calls(at) or None for at in times]
        labels = {**EXECUTOR, "method": "post", "code": "200"}
        name = "seldon_api_executor_server_requests_seconds_count"
        return [
            Scraped("up", [1] * len(times), {"namespace": "seldon"}, "executor"),
            *(
                Scraped(name, counts, {**labels, "service": service}, "executor")
                for service in SERVICES.values()
            ),
        ]

    def arrived(self, at: float, lost: int) -> int:
        return max(0, self.calls(at - self.lag + self.late) - lost)

    def metrics_server(self, times: Sequence[int]) -> list[Scraped]:
        def told(at: int, value: float | None) -> float | None:
            return None if at in self.away or at < self.born else value

        def started(at: int) -> int:
            return 2000 if self.restarts and self.away and at >= self.away.stop else 1000

        def received(at: int, lost: int) -> int | None:
            count = self.arrived(at, lost)
            if started(at) == 2000:
                count -= self.arrived(self.away.start, lost)
            return count + (self.again if count else 0) or None

        labels = {type_: {**MODEL, "type": type_, "outcome": "applied"} for type_ in SERVICES}
        healed = [told(at, self.healed if at >= self.end else 0) for at in times]
        refused = [told(at, self.refused if at >= self.end else 0) for at in times]
        return [
            Scraped(
                "closedloop_refused_events_total",
                refused,
                {**MODEL, "type": "feedback", "reason": "bad_json"},
            ),
            *(
                Scraped(
                    "closedloop_events_total",
                    [told(at, received(at, lost)) for at in times],
                    labels[type_],
                )
                for type_, lost in zip(SERVICES, self.lost, strict=True)
            ),
            Scraped("closedloop_rows_healed_total", healed),
            Scraped("closedloop_state_complete", [told(at, 1) for at in times], {}),
            Scraped("process_start_time_seconds", [told(at, started(at)) for at in times], {}),
        ]

    def request_logger(self, times: Sequence[int]) -> list[Scraped]:
        if not self.logger:
            return []
        return [
            *(
                Scraped(
                    "closedloop_logger_events_received_total",
                    [self.arrived(at, lost) for at in times],
                    {"type": type_},
                    "logger",
                )
                for type_, lost in zip(SERVICES, self.unlogged, strict=True)
            ),
            Scraped("closedloop_logger_queue_depth", [0] * len(times), {}, "logger"),
            Scraped("process_start_time_seconds", [1000] * len(times), {}, "logger"),
        ]


# All of it is over at 200 s, an event takes 10 s at most, and the alert waits for 120 s.
TOLD = 340


@every_interval
@pytest.mark.parametrize(
    "loop",
    [
        Loop(),
        pytest.param(Loop(lag=8.0), marks=pytest.mark.nightly),
        Loop(late=4.0),
        pytest.param(Loop(late=-4.0), marks=pytest.mark.nightly),
        pytest.param(Loop(end=400), marks=pytest.mark.nightly),
        Loop(end=400, rate=40, lag=5.0, late=-4.0),
        Loop(away=range(100, 110)),
        pytest.param(Loop(away=range(100, 110), restarts=True), marks=pytest.mark.nightly),
        Loop(away=range(100, 160), restarts=True),
        Loop(born=130, end=300),
        pytest.param(Loop(born=300, end=400), marks=pytest.mark.nightly),
        Loop(again=5),
        Loop(lost=(3, 0), healed=3),
        Loop(lost=(0, 3), refused=3),
        Loop(logger=False),
    ],
)
def test_a_healthy_loop_raises_no_alarm(tmp_path: Path, loop: Loop, every: int) -> None:
    expected = [firing(ALERT, at, 0) for at in range(60, 400, 10)]
    assert objections(tmp_path, every, loop.series(every), *expected) == ""


@every_interval
@pytest.mark.parametrize(
    ("loop", "labels"),
    [
        (Loop(lost=(1, 0)), 'place="metrics server",type="response"'),
        (Loop(lost=(0, 1)), 'place="metrics server",type="feedback"'),
        (Loop(unlogged=(1, 0)), 'place="log",type="response"'),
        (Loop(unlogged=(0, 1)), 'place="log",type="feedback"'),
    ],
)
def test_one_lost_event_is_told(tmp_path: Path, loop: Loop, labels: str, every: int) -> None:
    expected = [
        firing(ALERT, TOLD, 1),
        Expected(f'ALERTS{{alertname="{ALERT}",alertstate="firing",{labels}}}', TOLD, 1),
        Expected(f"model:events_lost{{{labels}}}", TOLD, 1),
        Expected("model:events_lost > 0", 60, None),
    ]
    assert objections(tmp_path, every, loop.series(every), *expected) == ""


@every_interval
def test_under_steady_traffic_a_loss_is_told_once_it_exceeds_what_is_on_its_way(
    tmp_path: Path, every: int
) -> None:
    """Three calls a second are 30 in the 10 s that an event may take."""
    expected = [firing(ALERT, 395, 1), Expected('model:events_lost{type="feedback"} > 0', 395, 20)]
    loop = Loop(end=400, lost=(0, 50))
    assert objections(tmp_path, every, loop.series(every), *expected) == ""


@every_interval
def test_a_loss_is_told_for_ten_minutes(tmp_path: Path, every: int) -> None:
    loop = Loop(lost=(1, 0), end=100, seconds=800)
    expected = [firing(ALERT, 640, 1), firing(ALERT, 730, 0)]
    assert objections(tmp_path, every, loop.series(every), *expected) == ""


@every_interval
@pytest.mark.parametrize(("lost", "count"), [(0, 0), (20, 1)])
def test_a_pod_that_follows_another_counts_anew(
    tmp_path: Path, lost: int, count: int, every: int
) -> None:
    """The last calls of the old one, 15 at most, were never scraped: as many losses hide there."""
    loop, change = Loop(lost=(lost, 0)), 130
    times = range(0, loop.seconds, every)
    executors = []
    for one in loop.executor(times):
        before = 1 if one.name == "up" else loop.calls(change)
        seen = list(zip(times, one.values, strict=True))
        old = [value if at < change else None for at, value in seen]
        new = [value - before or None if value and at >= change else None for at, value in seen]
        if one.name == "up":
            new = [1 if at >= change - 5 else None for at in times]
        executors += [replace(one, values=old), replace(one, values=new, pod="new")]
    series = [*executors, *loop.metrics_server(times), *loop.request_logger(times)]
    assert objections(tmp_path, every, series, firing(ALERT, TOLD, count)) == ""


def test_calls_of_which_nobody_wants_an_event_are_not_missed(tmp_path: Path) -> None:
    """Failed ones, other methods, and those of a model that the metrics server does not know."""
    loop = Loop()
    times = range(loop.seconds)
    known = loop.series(1)
    other = [
        replace(one, labels={**one.labels, **changed}, pod="other")
        for one in loop.executor(times)
        for changed in ({"deployment_name": "unknown"}, {"code": "500"}, {"method": "options"})
    ]
    assert objections(tmp_path, 1, [*known, *other], firing(ALERT, TOLD, 0)) == ""


def test_an_executor_that_two_jobs_scrape_answers_once(tmp_path: Path) -> None:
    loop = Loop()
    twice = [
        replace(one, labels={**one.labels, "job": "another"}) for one in loop.executor(range(400))
    ]
    series = [*loop.series(1), *twice]
    assert objections(tmp_path, 1, series, firing(ALERT, TOLD, 0)) == ""


def test_the_alert_says_what_was_lost_where(tmp_path: Path) -> None:
    summary = (
        "1 of the response events of sklearn in the last 10 minutes never reached the metrics"
        " server: look for `Failed to send cloudevent log` in the executors' logs and for restarts"
        " of the broker"
    )
    labels = {**MODEL, "type": "response", "place": "metrics server", "severity": "warning"}
    alert = {"exp_labels": labels, "exp_annotations": {"summary": summary}}
    at = {"alertname": ALERT, "eval_time": f"{TOLD}s", "exp_alerts": [alert]}
    assert objections(tmp_path, 1, Loop(lost=(1, 0)).series(1), alerts=[at]) == ""


@every_interval
def test_a_first_failure_is_one_failed_request(tmp_path: Path, every: int) -> None:
    """Its series begins with it, at 1."""
    times = range(0, 100, every)
    labels = {**EXECUTOR, "method": "post", "code": "500", "service": "predictions"}
    name = "seldon_api_executor_server_requests_seconds_count"
    series = [
        Scraped("up", [1] * len(times), {}, "executor"),
        Scraped(name, [1 if at >= 50 else None for at in times], labels, "executor"),
    ]
    failed = "model:requests_failed:window30s"
    expected = [Expected(f"{failed} > 0", 49, None), Expected(failed, 56, 1)]
    assert objections(tmp_path, every, series, *expected, Expected(failed, 90, 0)) == ""
