"""The page of one browser: drawn from the world's view, twice a second where it changed."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from bokeh.core.templates import get_env
from bokeh.document import Document
from bokeh.events import ButtonClick
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    DatetimeTickFormatter,
    InlineStyleSheet,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import Span
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Button, Checkbox, Div
from bokeh.plotting import figure

from closedloop.live import drawing
from closedloop.live.controls import STEP
from closedloop.live.diagram import diagram
from closedloop.live.models import PAIR, SINGLE
from closedloop.live.samples import WINDOW
from closedloop.live.shown import Curve, View
from closedloop.live.world import World

_HERE = Path(__file__).parent
_EVERY = 500  # milliseconds
# Glyphs have one colour for both themes: 4.5 to 1 and more against either background.
_BLUE, _RED = "#2a7fc1", "#d6453d"

_THEME = """
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
root.dataset.theme = (root.dataset.theme ?? system) == "dark" ? "light" : "dark";
"""


class Page:
    """The parts that one browser sees; `show` brings them up to date."""

    def __init__(self, world: World) -> None:
        self._sheet = InlineStyleSheet(css=(_HERE / "parts.css").read_text(encoding="utf-8"))
        self._buttons = InlineStyleSheet(css=(_HERE / "buttons.css").read_text(encoding="utf-8"))
        self._divs = {
            name: Div(name=name, disable_math=True, stylesheets=[self._sheet], margin=0)
            for name in (
                "state", "alarms", "diagram", "accuracy", "pair", "coverage", "refusals",
                "correctness", "events",
            )
        }  # fmt: skip
        self._line = ColumnDataSource({"at": [], "share": [], "lower": [], "upper": []})
        self._firing = ColumnDataSource({"left": [], "right": []})
        self._threshold = Span(
            dimension="width", line_color=_RED, line_dash=[12, 8], line_width=3, visible=False
        )
        self._times = Range1d(start=0, end=1)
        controls = world.controls
        self._anyway = Checkbox(name="anyway", label="anyway", stylesheets=[self._buttons])
        self._traffic = self._button("traffic", "Start traffic", controls.switch_traffic)
        self._undo = self._button("undo", "Undo", controls.undo)
        theme = self._button("theme", "Light / dark", lambda: None)
        theme.js_on_event(ButtonClick, CustomJS(code=_THEME))
        self.roots: list[UIElement] = [
            *self._divs.values(),
            self._chart(),
            self._traffic,
            self._button("less", "▼ less", partial(controls.correct, -STEP)),
            self._button("more", "▲ more", partial(controls.correct, STEP)),
            self._button("kill", "Kill metrics server", controls.kill_metrics_server),
            self._button(
                "promote", "Promote", lambda: controls.promote(anyway=bool(self._anyway.active))
            ),
            self._anyway,
            self._undo,
            self._button("unknown", "Wrong truth", controls.send_unknown_class),
            theme,
        ]

    def show(self, view: View) -> None:
        """Bring everything up to date; nothing is sent to the browser for parts that stay."""
        pair, firing = view.pair, any(one.state != "pending" for one in view.alarms)
        evidence = "evidence" if pair is None else f"evidence {drawing.odds(pair)}"
        texts = {
            "state": drawing.header(view),
            "alarms": drawing.alarms(view.alarms, view.curve),
            "diagram": diagram(view.boxes, view.rates, alert=firing, evidence=evidence),
            "accuracy": drawing.accuracy(view.curve),
            "pair": drawing.pair(pair, view.missing),
            "coverage": drawing.coverage(view.coverage),
            "refusals": drawing.refusals(view.refusals),
            "correctness": drawing.correctness(view),
            "events": drawing.events(view),
        }
        for name, text in texts.items():
            if self._divs[name].text != text:
                self._divs[name].text = text
        self._traffic.label = "Stop traffic" if view.controlled.running else "Start traffic"
        self._undo.disabled = not view.controlled.can_undo
        self._draw(view.curve)

    def _button(self, name: str, label: str, act: Callable[[], None]) -> Button:
        button = Button(name=name, label=label, stylesheets=[self._buttons])
        button.on_click(act)
        return button

    def _chart(self) -> UIElement:
        chart = figure(
            name="chart",
            sizing_mode="stretch_both",
            min_height=120,
            margin=0,
            x_axis_type="datetime",
            x_range=self._times,
            y_range=Range1d(start=0, end=1.02),
            toolbar_location=None,
            tools="",
        )
        chart.varea("at", "lower", "upper", source=self._line, color=_BLUE, alpha=0.3)
        chart.line("at", "share", source=self._line, color=_BLUE, line_width=5)
        chart.quad("left", "right", 1.02, 0.97, source=self._firing, color=_RED, line_width=0)
        chart.add_layout(self._threshold)
        chart.yaxis.formatter = NumeralTickFormatter(format="0%")
        chart.yaxis.ticker = [0, 0.25, 0.5, 0.75, 1]
        chart.xaxis.formatter = DatetimeTickFormatter(
            seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M"
        )
        chart.axis.major_label_text_font_size = "18px"
        return chart

    def _draw(self, curve: Curve) -> None:
        at = [_shown(time) for time in curve.times]
        if list(self._line.data["at"]) != at:
            self._line.data = {
                "at": at, "share": curve.shares, "lower": curve.lowers, "upper": curve.uppers
            }  # fmt: skip
        left, right = ([_shown(span[i]) for span in curve.firing] for i in (0, 1))
        if list(self._firing.data["right"]) != right:
            self._firing.data = {"left": left, "right": right}
        self._threshold.update(location=curve.threshold, visible=curve.threshold is not None)
        self._times.update(start=_shown(curve.now - WINDOW), end=_shown(curve.now))


def _shown(at: float) -> float:
    """A time as Bokeh's axis takes it: milliseconds, and by the clock on the wall."""
    offset = datetime.fromtimestamp(at).astimezone().utcoffset()
    assert offset is not None
    return 1000 * (at + offset.total_seconds())


def open_page(world: World, document: Document) -> None:
    """Make the page of a browser that has come."""
    page = Page(world)
    page.show(world.view)
    for root in page.roots:
        document.add_root(root)
    document.title = "closedloop live"
    document.template = get_env().from_string((_HERE / "page.html").read_text(encoding="utf-8"))
    document.template_variables.update(
        theme=(_HERE / "theme.css").read_text(encoding="utf-8"), single=SINGLE, pair=PAIR
    )
    document.add_periodic_callback(lambda: page.show(world.view), _EVERY)
