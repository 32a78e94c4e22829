import math
import time
from typing import Any, cast

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from closedloop.notebook.dashboards import Prometheus, Series, draw, draw_panel, parse

GRID = {"x": 0, "y": 0, "w": 12, "h": 8}


class FakePrometheus:
    """Answers every query with the series it was made with."""

    def __init__(self, *series: Series) -> None:
        self.series = list(series)
        self.asked: list[str] = []

    def query(self, promql: str) -> list[Series]:
        self.asked.append(promql)
        return self.series

    def query_range(self, promql: str, seconds: float, step: float = 1.0) -> list[Series]:
        return self.query(promql)


def panel(kind: str, **extra: Any) -> dict[str, Any]:
    target = {"expr": "x", "legendFormat": "{{a}}"}
    return {"title": "T", "type": kind, "gridPos": GRID, "targets": [target], **extra}


def drawn(model: dict[str, Any], *series: Series) -> Any:
    (read,) = parse({"title": "d", "panels": [model]}).panels
    axes = Figure().add_subplot()
    draw_panel(read, cast(Prometheus, FakePrometheus(*series)), axes)
    return axes


@pytest.fixture
def line() -> Series:
    now = time.time()
    return Series({"a": "one"}, [(now - 2, 0.5), (now - 1, 0.75)])


def test_a_time_series_is_a_line_with_its_legend(line: Series) -> None:
    axes = drawn(panel("timeseries"), line)
    assert list(axes.lines[0].get_ydata()) == [0.5, 0.75]
    assert axes.get_legend().get_texts()[0].get_text() == "one"


def test_a_stat_shows_its_newest_value_in_its_unit(line: Series) -> None:
    axes = drawn(panel("stat", fieldConfig={"defaults": {"unit": "percentunit"}}), line)
    assert [text.get_text() for text in axes.texts] == ["75.0%"]


def test_bars_are_as_long_as_their_values(line: Series) -> None:
    axes = drawn(panel("bargauge"), line)
    assert [patch.get_width() for patch in axes.patches] == [0.75]


def test_a_matrix_has_a_cell_for_every_pair() -> None:
    group = {"rowField": "actual", "columnField": "predicted"}
    model = panel("table", transformations=[{"id": "groupingToMatrix", "options": group}])
    axes = drawn(
        model,
        Series({"actual": "x", "predicted": "x"}, [(0, 3)]),
        Series({"actual": "y", "predicted": "x"}, [(0, 1)]),
    )
    assert [text.get_text() for text in axes.texts] == ["3", "1"]


@pytest.mark.parametrize("kind", ["timeseries", "stat", "bargauge", "table"])
def test_a_panel_without_data_says_so(kind: str) -> None:
    assert "no data" in [text.get_text() for text in drawn(panel(kind)).texts]


def test_a_panel_says_what_its_json_has_for_no_value() -> None:
    model = panel("stat", fieldConfig={"defaults": {"noValue": "none"}})
    assert [text.get_text() for text in drawn(model).texts] == ["none"]


def test_what_is_no_number_is_no_value(line: Series) -> None:
    nan = Series(line.labels, [(time, math.nan) for time, _ in line.samples])
    assert "no data" in [text.get_text() for text in drawn(panel("timeseries"), nan).texts]


def named(name: str, line: Series) -> Series:
    return Series({"a": name}, line.samples)


def test_an_interval_is_a_band_around_its_line(line: Series) -> None:
    other = named("two", line)
    bounds = [named(f"{name} {end}", line) for name in ("one", "two") for end in ("lower", "upper")]
    axes = drawn(panel("timeseries"), line, other, *bounds)
    assert len(axes.lines) == 2
    bands = [band.get_facecolor()[0][:3] for band in axes.collections]
    assert [tuple(band) for band in bands] == [to_rgb(line.get_color()) for line in axes.lines]


def test_a_threshold_is_a_dashed_line_beside_those_of_the_data(line: Series) -> None:
    dash = {"id": "custom.lineStyle", "value": {"fill": "dash"}}
    override = {"matcher": {"id": "byName", "options": "alert"}, "properties": [dash]}
    model = panel("timeseries", fieldConfig={"overrides": [override]})
    data, threshold = drawn(model, line, named("alert", line)).lines
    assert (data.get_linestyle(), threshold.get_linestyle()) == ("-", "--")
    assert threshold.get_color() != data.get_color()
    assert "no data" in [text.get_text() for text in drawn(model, named("alert", line)).texts]


def test_the_frame_leaves_room_above_a_whole(line: Series) -> None:
    defaults = {"unit": "percentunit", "min": 0, "max": 1.05}
    whole = Series({"a": "one"}, [(time, 1.0) for time, _ in line.samples])
    axes = drawn(panel("timeseries", fieldConfig={"defaults": defaults}), whole)
    assert axes.get_ylim() == (0, 1.05)
    assert max(tick for tick in axes.get_yticks() if tick <= 1.05) == pytest.approx(1)


def test_zeros_are_a_line_on_a_scale_of_ones() -> None:
    axes = drawn(panel("timeseries"), Series({"a": "one"}, [(1, 0.0), (2, 0.0)]))
    assert axes.get_ylim()[1] == 1


def test_one_bar_is_no_wall_and_has_room_for_its_number(line: Series) -> None:
    axes = drawn(panel("bargauge"), line)
    (bar,) = axes.patches
    low, high = axes.get_ylim()
    assert bar.get_height() / (high - low) < 0.2
    assert bar.get_width() / axes.get_xlim()[1] < 0.9


def test_a_long_name_of_a_bar_leaves_the_panel_to_the_bar_and_the_title_in_it(
    line: Series,
) -> None:
    name = "namespace/deployment unscorable: truth_unknown_class"
    model = {"title": "d", "panels": [panel("bargauge")]}
    fake = cast(Prometheus, FakePrometheus(named(name, line)))
    figure = draw(parse(model), fake)
    (axes,) = figure.axes
    assert axes.get_position().width > 0.25
    (title,) = (text for text in axes.get_children() if getattr(text, "get_text", str)() == "T")
    figure.canvas.draw()
    assert title.get_window_extent().x0 < figure.bbox.width / 24


@pytest.mark.parametrize(("joined", "breaks"), [(True, 0), (False, 1)])
def test_a_line_is_broken_where_there_is_no_value(joined: bool, breaks: int) -> None:
    gap = Series({"a": "one"}, [(at, 0.5) for at in (1, 2, 3, 9, 10)])
    bounds = [named("one lower", gap), named("one upper", gap)]
    custom = {"defaults": {"custom": {"spanNulls": joined}}}
    axes = drawn(panel("timeseries", fieldConfig=custom), gap, *bounds)
    assert sum(math.isnan(value) for value in axes.lines[0].get_ydata()) == breaks


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0123, "12.3 ms"),
        (1, "1 s"),
        (90, "1.5 min"),
        (7200, "2 h"),
        (2e5, "2.31 days"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    axes = drawn(panel("stat", fieldConfig={"defaults": {"unit": "s"}}), Series({}, [(0, seconds)]))
    assert [drawn.get_text() for drawn in axes.texts] == [text]


def test_a_dashboard_asks_every_query_once(line: Series) -> None:
    fake = FakePrometheus(line)
    two = {"title": "d", "panels": [panel("stat"), panel("timeseries")]}
    figure = draw(parse(two), cast(Prometheus, fake))
    assert len(figure.axes) == 2
    assert fake.asked == ["x", "x"]
