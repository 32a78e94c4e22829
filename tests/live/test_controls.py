"""The controls: one thing at a time, bounds, refusals with their reason."""

import threading
from collections.abc import Iterator

import pytest

from closedloop.judging.decision import Verdict
from closedloop.judging.promotion import Promotion
from closedloop.judging.roles import Roles
from closedloop.live import controls as module
from closedloop.live.controls import Controls
from closedloop.live.traffic import Streams
from closedloop.notebook.waiting import until
from closedloop.platforms.protocol import PlatformError
from tests.live.moments import compared
from tests.suite.fakes import FakePlatform


class Platform(FakePlatform):
    """Its restarts end when they are let."""

    def __init__(self) -> None:
        super().__init__(up=True)
        self.let = threading.Event()
        self.let.set()

    def restart(self, part: str, *, kill: bool = False) -> None:
        assert self.let.wait(10)
        self.calls.append(f"restart {part} {kill}")
        if self.fail:
            raise PlatformError(f"{self.fail} is not there")


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def controls(platform: Platform) -> Iterator[Controls]:
    controls = Controls(platform, Streams(rate=1, share=1))
    yield controls
    platform.let.set()
    controls.close()


def told(controls: Controls) -> list[tuple[str, str]]:
    until(lambda: not controls.state.doing, what="the end of what is done")
    return [(event.kind, event.sentence) for event in controls.state.events]


def swapping(monkeypatch: pytest.MonkeyPatch, champion_only: int, challenger_only: int) -> None:
    """A pair with this evidence, and promotions that work."""
    found = compared(champion_only, challenger_only).comparison
    done = Promotion(Roles("a", "b"), Roles("b", "a"), "", True, "a", "b")
    monkeypatch.setattr(module, "compared", lambda *_: found)
    monkeypatch.setattr(Controls, "_swap", lambda _: done)


def test_correctness_stays_a_share(controls: Controls) -> None:
    for by, share in ((0.1, 1.0), (0.1, 1.0), (-0.3, 0.7), (-0.9, 0.0)):
        controls.correct(by)
        assert controls.state.correctness == share


def test_the_metrics_server_is_killed_not_stopped(controls: Controls, platform: Platform) -> None:
    controls.kill_metrics_server()
    ((kind, _),) = told(controls)
    assert kind == "done"
    assert platform.calls == ["restart seldon-logs/seldon-metrics-server True"]


def test_what_fails_is_told(controls: Controls, platform: Platform) -> None:
    platform.fail = "the metrics server"
    controls.kill_metrics_server()
    assert told(controls) == [
        ("failed", "Killing the metrics server failed: the metrics server is not there")
    ]


def test_a_fault_that_nobody_thought_of_is_told_and_logged(
    controls: Controls,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("nothing")

    monkeypatch.setattr(platform, "restart", broken)
    controls.kill_metrics_server()
    assert told(controls) == [("failed", "Killing the metrics server failed: KeyError: 'nothing'")]
    assert "Traceback" in caplog.text


def test_nothing_is_asked_of_a_platform_that_is_not_set_up(
    controls: Controls, platform: Platform
) -> None:
    controls.waits = "Setting up: broker …"
    controls.switch_traffic()
    assert told(controls) == [("refused", "Not starting the traffic yet. Setting up: broker …")]
    assert not controls.state.running


def test_one_thing_at_a_time(controls: Controls, platform: Platform) -> None:
    platform.let.clear()
    controls.kill_metrics_server()
    controls.undo()
    platform.let.set()
    (refused, sentence), (done, _) = told(controls)
    assert (refused, done) == ("refused", "done")
    assert sentence == "Not undoing the promotion: the page is still killing the metrics server."


@pytest.mark.parametrize(
    ("counts", "anyway", "kind"),
    [((2, 40), False, "done"), ((8, 6), False, "refused"), ((40, 2), False, "refused"),
     ((40, 2), True, "done")],
)  # fmt: skip
def test_promotion_asks_the_evidence_unless_it_is_to_happen_anyway(
    controls: Controls,
    monkeypatch: pytest.MonkeyPatch,
    counts: tuple[int, int],
    anyway: bool,
    kind: str,
) -> None:
    swapping(monkeypatch, *counts)
    controls.promote(anyway=anyway)
    assert [each for each, _ in told(controls)] == [kind]
    assert controls.state.can_undo is (kind == "done")


def test_a_refused_promotion_says_the_verdict(
    controls: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapping(monkeypatch, 40, 2)
    controls.promote(anyway=False)
    ((_, sentence),) = told(controls)
    assert sentence.startswith("Not promoted. Keep the champion: ")
    assert compared(40, 2).comparison.decide().verdict is Verdict.KEEP  # type: ignore[union-attr]  # there is one


def test_undo_is_of_a_promotion_of_this_page(
    controls: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapping(monkeypatch, 40, 2)
    controls.undo()
    assert [kind for kind, _ in told(controls)] == ["refused"]
    controls.promote(anyway=True)
    told(controls)
    controls.undo()
    assert [kind for kind, _ in told(controls)] == ["refused", "done", "done"]
    assert not controls.state.can_undo
