"""The page in a real browser: drawn, readable, worked by keyboard, the same in two windows."""

from collections.abc import Iterator
from itertools import combinations
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from closedloop.live.samples import QUERIES, Metrics
from closedloop.live.shown import View
from closedloop.live.traffic import Streams
from closedloop.live.view import view
from closedloop.live.world import World
from closedloop.suite import SuiteError
from closedloop.suite.pdf import chromium
from tests.live.moments import LOW, SKLEARN, accuracy, compared, one
from tests.live.serving import served
from tests.suite.fakes import FakePlatform

_ROOM: ViewportSize = {"width": 1920, "height": 1080}
expect.set_options(timeout=30_000)


class Moment(World):
    """A world that stands still, but for its controls."""

    metrics = Metrics(
        200.0,
        {name: [] for name in QUERIES}
        | {
            "alerts": [one(1.0, alertstate="firing", **LOW)],
            "scored": [one(90.0, **SKLEARN)],
            "received": [one(33.0)],
            "servers": [one(1.0)],
            "threshold": [one(0.5)],
            "rows": [
                one(30.0, state="scored", **SKLEARN),
                one(10.0, state="unlabelled", **SKLEARN),
            ],
            "not counted": [
                one(2.0, outcome="unscorable", reason="truth_unknown_class", **SKLEARN)
            ],
        },
        accuracy(*((100.0 + i, 0.9 - i / 240) for i in range(100))),
    )

    @property
    def view(self) -> View:
        return view(self.metrics, compared(12, 4), self.controls.state)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as browser:
            yield browser
    except SuiteError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    world = Moment(FakePlatform(up=True), Streams(rate=1, share=1), ours=False)
    with served(world) as url:
        yield url
    world.close()


def opened(browser: Browser, url: str, scheme: str = "light") -> Page:
    dark = "dark" if scheme == "dark" else "light"
    page = browser.new_page(viewport=_ROOM, color_scheme=dark)  # type: ignore[arg-type]  # a literal
    page.set_default_timeout(60_000)
    page.goto(url)
    page.get_by_role("button", name="Start traffic").wait_for()
    return page


def test_it_draws_everything_and_asks_no_other_machine(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport=_ROOM)
    asked, errors = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    for section, words in {
        "Alerts": "ModelAccuracyLow",
        "The loop": "33/s",
        "Accuracy": "49%",
        "Champion and challenger": "perceptron",
        "Coverage of feedback": "30 of 40",
        "Feedback that did not count": "truth unknown class",
    }.items():
        expect(page.get_by_role("region", name=section, exact=True)).to_contain_text(words)
    expect(page.locator("canvas").first).to_be_visible()
    root = url.rpartition("/")[0]
    assert asked
    assert [each for each in asked if not each.startswith((root, "data:"))] == []
    assert errors == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.nightly)])
def test_nothing_overlaps_or_is_cut_on_a_projector(browser: Browser, url: str, scheme: str) -> None:
    page = opened(browser, url, scheme)
    boxes = [
        box
        for part in page.locator("header, section, nav").all()
        if (box := part.bounding_box()) is not None
    ]
    assert len(boxes) == 9
    for a, b in combinations(boxes, 2):
        assert (
            a["x"] + a["width"] <= b["x"] + 1
            or b["x"] + b["width"] <= a["x"] + 1
            or a["y"] + a["height"] <= b["y"] + 1
            or b["y"] + b["height"] <= a["y"] + 1
        )
    assert max(box["y"] + box["height"] for box in boxes) <= _ROOM["height"]
    cut = page.evaluate(
        "[...document.querySelectorAll('section')].filter(each =>"
        " each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1)"
        ".map(each => [each.className, each.scrollHeight - each.clientHeight,"
        " each.scrollWidth - each.clientWidth])"
    )
    assert cut == []
    page.close()


def test_text_stands_out_in_both_themes(browser: Browser, url: str) -> None:
    page = opened(browser, url)
    page.get_by_role("button", name="Light / dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    for theme in ("dark", "light"):
        assert _contrast(page) >= 4.5, theme
        page.get_by_role("button", name="Light / dark").click()
    page.close()


def test_a_control_is_worked_by_keyboard_and_two_browsers_agree(browser: Browser, url: str) -> None:
    one_page, other = opened(browser, url), opened(browser, url, "dark")
    button = one_page.get_by_role("button", name="less")
    button.focus()
    one_page.keyboard.press("Enter")
    for page in (one_page, other):
        expect(page.get_by_role("navigation")).to_contain_text("sklearn 80% right")
        expect(page.get_by_label("Actions")).to_contain_text("80% now agree")
        page.close()


def _contrast(page: Page) -> float:
    """The least contrast of a colour of text with the card that it is on (WCAG 2, 1.4.3)."""
    return cast(
        float,
        page.evaluate(
            """() => {
              const probe = document.body.appendChild(document.createElement("i"));
              const light = name => {
                probe.style.color = `var(--${name})`;
                const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3);
                const [r, g, b] = parts.map(part => part / 255).map(
                  part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const against = (one, other) => {
                const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
                return (high + 0.05) / (low + 0.05);
              };
              const texts = ["ink", "soft", "accent", "champion", "challenger", "good", "warn",
                "alert"];
              const fills = ["serving", "events", "metrics", "outside"];
              const all = [...texts.map(text => against(text, "card")),
                ...fills.map(fill => against("ink", fill)), against("on-alert", "alert")];
              probe.remove();
              return Math.min(...all);
            }"""
        ),
    )
