"""The live page on a running platform, in two real browsers: everything that its controls do."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from playwright.sync_api import Page, expect

from closedloop.judging.promotion import KIND, Roles, roles
from closedloop.live.traffic import Streams
from closedloop.live.world import World
from closedloop.suite import SuiteError
from closedloop.suite.pdf import chromium
from tests.end_to_end.loop import Loop
from tests.live.serving import served

pytestmark = [pytest.mark.embedded, pytest.mark.nightly, pytest.mark.timeout(900)]

_PATIENCE = 180_000  # milliseconds


@pytest.fixture
def pages(loop: Loop) -> Iterator[tuple[Page, Page]]:
    """The page in two browsers, of a world whose platform and models are there already."""
    world = World(loop.platform, Streams(rate=4, share=0.9, seed=3), ours=False)
    world.open()
    try:
        with served(world) as url, chromium() as browser:
            both = browser.new_page(), browser.new_page()
            for page in both:
                page.goto(url)
                page.get_by_role("button", name="traffic").wait_for(timeout=_PATIENCE)
            yield both
    except SuiteError as error:
        pytest.skip(str(error))
    finally:
        world.close()
    for name in ("sklearn", "iris-perf"):  # not made by the page, so they stay
        loop.platform.get(KIND, name, "seldon")


def _shows(pages: tuple[Page, Page], region: str, words: str) -> None:
    for page in pages:
        found = page.get_by_role("region", name=region, exact=True)
        expect(found).to_contain_text(words, timeout=_PATIENCE)


def _pods(loop: Loop) -> set[str]:
    """The pods of the metrics server."""
    names = (each["metadata"]["name"] for each in cast(Any, loop.platform.objects("Pod")))
    return {name for name in names if name.startswith("seldon-metrics-server")}


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def test_controls_change_the_world_and_both_browsers_show_it(
    loop: Loop, pages: tuple[Page, Page]
) -> None:
    one, other = pages
    told = "What the controls did"
    _press(one, "Start traffic")
    _shows(pages, told, "The traffic runs.")
    _shows(pages, "Accuracy", "truths in 30 s")
    for _ in range(7):
        _press(other, "less")
    _shows(pages, told, "20% now agree")
    _shows(pages, "Alerts", "▲ ModelAccuracyLow")
    _shows(pages, "Alerts", "of the last 30 s correctly")  # its receiver has it

    _press(one, "Wrong truth")
    _shows(pages, "Feedback that did not count", "truth unknown class")

    before = _pods(loop)
    _press(other, "Kill metrics server")
    _shows(pages, told, "The metrics server was killed; another one was ready")
    assert not before & _pods(loop)
    _press(one, "more")
    _shows(pages, "Accuracy", "right")  # and goes on: the page has survived it
    _shows(pages, "Champion and challenger", "alone right on")

    one.get_by_role("checkbox").check()
    _press(one, "Promote")
    _shows(pages, told, "perceptron was promoted")
    assert roles(loop.platform.get(KIND, "iris-perf", "seldon")) == Roles("perceptron", "logistic")
    _shows(pages, "Champion and challenger", "champion perceptron")
    _press(other, "Undo")
    _shows(pages, told, "The promotion was undone")
    assert roles(loop.platform.get(KIND, "iris-perf", "seldon")) == Roles("logistic", "perceptron")
    _press(one, "Stop traffic")
    _shows(pages, told, "The traffic has stopped.")
    for page in pages:
        expect(page.get_by_role("banner")).to_contain_text("Ready: start the traffic")
