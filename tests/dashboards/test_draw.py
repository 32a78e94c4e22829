import time
from typing import Any, cast

import pytest
from matplotlib.figure import Figure

from closedloop.dashboards import Prometheus, Series, draw, draw_panel, parse

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


def test_an_interval_is_a_band_below_its_line(line: Series) -> None:
    override = {
        "matcher": {"options": "one upper"},
        "properties": [{"id": "custom.fillBelowTo", "value": "one lower"}],
    }
    upper = Series({"a": "one upper"}, line.samples)
    lower = Series({"a": "one lower"}, line.samples)
    axes = drawn(panel("timeseries", fieldConfig={"overrides": [override]}), line, upper, lower)
    assert len(axes.lines) == 1
    assert len(axes.collections) == 1


def test_a_dashboard_asks_every_query_once(line: Series) -> None:
    fake = FakePrometheus(line)
    two = {"title": "d", "panels": [panel("stat"), panel("timeseries")]}
    figure = draw(parse(two), cast(Prometheus, fake))
    assert len(figure.axes) == 2
    assert fake.asked == ["x", "x"]
