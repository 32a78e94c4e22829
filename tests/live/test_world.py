"""The world behind the page: set up, sampled, and removed as far as it was made here."""

from pathlib import Path

import pytest

from closedloop.live.models import MANIFESTS
from closedloop.live.traffic import Streams
from closedloop.live.world import World
from closedloop.notebook.waiting import until
from closedloop.platforms.protocol import Object, PlatformError
from tests.suite.fakes import FakePlatform


class Platform(FakePlatform):
    """Has the models that `there` names, and no Service."""

    def __init__(self, *there: str, fail: str = "") -> None:
        super().__init__(fail=fail)
        self.there = there

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, object]:
        return {} if name in self.there else super().get(kind, name, namespace)

    def url(self, service: str, port: str | int | None = None) -> str:
        raise PlatformError(f"there is no Service {service}: apply it first")

    def delete(self, *manifests: str | Path | Object) -> list[str]:
        self.calls.append(f"delete {' '.join(str(m) for m in manifests)}")
        return []


def world(platform: Platform, *, ours: bool = False) -> World:
    return World(platform, Streams(rate=1, share=1), ours=ours)


def set_up(made: World) -> str:
    """Until the set-up has ended; its trouble, if any."""
    made.open()
    until(lambda: not made.view.state.startswith("Setting up"), what="the set-up", timeout=60)
    return made.controls.waits


@pytest.mark.parametrize("there", [(), ("sklearn",), ("sklearn", "iris-perf")])
def test_models_that_are_absent_are_deployed_and_these_alone_deleted(there: tuple[str]) -> None:
    platform = Platform(*there)
    made = world(platform)
    assert set_up(made) == ""
    made.close()
    absent = [manifest for name, manifest in MANIFESTS.items() if name not in there]
    applied = [call for call in platform.calls if call.startswith("apply models/")]
    assert [call for call in applied if "outputs" not in call] == [f"apply {one}" for one in absent]
    deleted = [call for call in platform.calls if call.startswith("delete")]
    assert deleted == ([f"delete {' '.join(absent)}"] if absent else [])
    assert platform.up


def test_platform_of_its_own_is_shut_down() -> None:
    platform = Platform()
    made = world(platform, ours=True)
    set_up(made)
    made.close()
    assert not platform.up


def test_page_says_that_its_set_up_failed_and_refuses_its_controls() -> None:
    made = world(Platform(fail="elasticsearch"))
    sentence = "The set-up failed: elasticsearch does not start: see its log"
    assert set_up(made) == sentence
    assert made.view.state == sentence
    assert (made.view.missing, made.view.curve.sentence) == (sentence, sentence)
    made.controls.switch_traffic()
    (event,) = made.view.controlled.events
    assert event.kind == "refused"
    assert sentence in event.sentence
    made.close()


def test_page_goes_on_without_prometheus_and_log() -> None:
    made = world(Platform("sklearn", "iris-perf"))
    set_up(made)
    until(lambda: made.view.refusals is None and made.view.missing, what="a look at nothing")
    assert "there is no Service" in made.view.curve.sentence
    made.close()
