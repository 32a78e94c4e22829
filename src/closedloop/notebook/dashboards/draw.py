"""Draw a dashboard's panels with matplotlib from the queries that Grafana would send."""

import math
import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter, MaxNLocator, PercentFormatter

from closedloop.notebook.dashboards.dashboard import Dashboard, Panel
from closedloop.notebook.dashboards.prometheus import Prometheus, Series

COLOURS = ("#1f77b4", "#d95f02", "#2a9d5c", "#7b5ea7", "#c44e52", "#8c6d31", "#5f6b7a")
_THRESHOLD = "#b02a37"
_WIDTH = 13.0  # inches for Grafana's 24 columns
_ROW = 0.36  # inches for one of its rows
_TITLE = 0.5  # inches above the first row
# Inches around the axes of a panel, for its title and labels.
_TOP, _RIGHT, _BOTTOM, _LEFT = 0.34, 0.22, 0.34, 0.5
_AXIS_LABEL = 0.18
_CHARACTER = 0.075  # of a tick label
_WIDEST = 26  # characters of a bar's name in one line
_FEWEST_BARS = 4  # of which there is room for, that one alone is not a wall
# How the bounds of a line are named after it.
_LOWER, _UPPER = " lower", " upper"
_Named = list[tuple[str, Series]]


def draw(dashboard: Dashboard, prometheus: Prometheus, seconds: float = 300) -> Figure:
    """A figure of the whole dashboard over the last `seconds`, in Grafana's layout.

    Raises `QueryError` when Prometheus does not answer or refuses a query.
    """
    rows = max(panel.y + panel.height for panel in dashboard.panels)
    height = rows * _ROW + _TITLE
    figure = Figure(figsize=(_WIDTH, height))
    figure.suptitle(dashboard.title, fontweight="bold", y=1 - 0.12 / height, va="top")
    for panel in dashboard.panels:
        axes = figure.add_axes((0, 0, 1, 1))
        draw_panel(panel, prometheus, axes, seconds)
        left = _LEFT + _CHARACTER * max(0, _longest_label(panel, axes) - 4)
        x, y = panel.x * _WIDTH / 24 + left, height - _TITLE - (panel.y + panel.height) * _ROW
        width = panel.width * _WIDTH / 24 - left - _RIGHT
        bottom = _BOTTOM + (_AXIS_LABEL if axes.get_xlabel() else 0)
        tall = max(panel.height * _ROW - _TOP - bottom, 0.3)
        axes.set_position((x / _WIDTH, (y + bottom) / height, width / _WIDTH, tall / height))
        # Above the labels too, or it would reach into the next panel.
        axes.set_title(panel.title, fontsize=10, loc="left", x=(_LEFT - left) / width)
    return figure


def draw_panel(panel: Panel, prometheus: Prometheus, axes: Axes, seconds: float = 300) -> None:
    """Draw one panel onto `axes`. Raises `QueryError`."""
    if panel.kind == "timeseries":
        found = _named(panel, lambda expr: prometheus.query_range(expr, seconds))
        _timeseries(panel, found, axes)
    else:
        found = _named(panel, prometheus.query)
        {"stat": _stat, "bargauge": _bars, "table": _table}[panel.kind](panel, found, axes)
    axes.set_title(panel.title, fontsize=10, loc="left")


def _named(panel: Panel, query: Callable[[str], list[Series]]) -> _Named:
    """Every series that has a value; a quantile of nothing, for one, is no number."""
    found = []
    for target in panel.targets:
        for series in query(target.expr):
            samples = [(time, value) for time, value in series.samples if not math.isnan(value)]
            if samples:
                found.append((target.name(series.labels), Series(series.labels, samples)))
    return found


def _timeseries(panel: Panel, found: _Named, axes: Axes) -> None:
    by_name = dict(found)
    colours: dict[str, str] = {}
    for name, series in found:
        if name.removesuffix(_LOWER).removesuffix(_UPPER) != name:
            continue
        if name in panel.dashed:
            points = _points(series, panel.joined)
            axes.plot(*points, "--", label=name, color=_THRESHOLD, linewidth=1)
            continue
        colour = colours[name] = COLOURS[len(colours) % len(COLOURS)]
        # One sample makes no line, but it was there.
        marker = "o" if len(series.samples) == 1 else ""
        points = _points(series, panel.joined)
        axes.plot(*points, label=name, color=colour, linewidth=1.8, marker=marker)
        lower, upper = by_name.get(name + _LOWER), by_name.get(name + _UPPER)
        if lower and upper:
            times, highs = _points(upper, panel.joined)
            lows = dict(zip(*_points(lower, panel.joined), strict=True))
            there = [lows.get(time, math.nan) for time in times]
            axes.fill_between(times, there, highs, color=colour, alpha=0.18, linewidth=0)
    _scale(panel, axes.yaxis.set_major_formatter)
    highest = max((value for name, series in found for _, value in series.samples), default=0)
    # Room above the line; Grafana leaves some by itself, and shows zeros on a scale of ones.
    top = panel.maximum or (1.1 * highest if highest > 0 else 1)
    axes.set_ylim(panel.minimum, top)
    local = datetime.now().astimezone().tzinfo
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=3, maxticks=6))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M:%S", tz=local))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if colours:
        axes.legend(fontsize=8, frameon=False, loc="best")
    else:
        _nothing(panel, axes)


def _stat(panel: Panel, found: _Named, axes: Axes) -> None:
    axes.axis("off")
    if not found:
        _nothing(panel, axes)
    for position, (name, series) in enumerate(found):
        x = (position + 0.5) / len(found)
        value = _format(panel, series.value)
        axes.text(x, 0.6, value, ha="center", va="center", fontsize=20, color=COLOURS[0])
        if len(found) > 1:
            axes.text(x, 0.1, name.replace(" ", "\n"), ha="center", va="center", fontsize=8)


def _bars(panel: Panel, found: _Named, axes: Axes) -> None:
    if not found:
        axes.axis("off")
        _nothing(panel, axes)
        return
    found = sorted(found, key=lambda pair: pair[0], reverse=True)
    values = [series.value for _, series in found]
    names = [textwrap.fill(name, _WIDEST) for name, _ in found]
    bars = axes.barh(names, values, color=COLOURS[0], height=0.6)
    axes.set_ylim(len(found) - 0.4 - max(len(found), _FEWEST_BARS), len(found) - 0.6)
    axes.bar_label(bars, [_format(panel, value) for value in values], fontsize=8, padding=2)
    # Room for the number beside the longest bar.
    axes.set_xlim(panel.minimum or 0, 1.15 * (panel.maximum or max(*values, 1e-9)))
    _scale(panel, axes.xaxis.set_major_formatter)
    if not panel.unit:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _table(panel: Panel, found: _Named, axes: Axes) -> None:
    if not found:
        axes.axis("off")
        _nothing(panel, axes)
        return
    row_label, column_label = panel.matrix or ("", "")
    cells = {
        (s.labels.get(row_label, n), s.labels.get(column_label, "value")): s.value for n, s in found
    }
    rows = sorted({row for row, _ in cells})
    columns = sorted({column for _, column in cells})
    values = [[cells.get((row, column), 0.0) for column in columns] for row in rows]
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    middle = max(max(line) for line in values) / 2
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            colour = "white" if value > middle else "black"
            text = _format(panel, value)
            axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(columns)), _short(columns), fontsize=8)
    axes.set_yticks(range(len(rows)), _short(rows), fontsize=8)
    axes.set_xlabel(column_label, fontsize=8)
    axes.set_ylabel(row_label, fontsize=8)


def _longest_label(panel: Panel, axes: Axes) -> int:
    """Characters of the longest label on the left of bars or of a table."""
    if panel.kind not in ("bargauge", "table"):
        return 0
    lines = [line for label in axes.get_yticklabels() for line in label.get_text().splitlines()]
    return max(map(len, lines), default=0)


def _points(series: Series, joined: bool) -> tuple[list[float], list[float]]:
    """Times in days since the epoch, which is how matplotlib counts dates; and values.

    Unless `joined`, there is no number between samples that are further apart than others.
    """
    times = [time for time, _ in series.samples]
    values = [value for _, value in series.samples]
    if not joined:
        steps = [later - earlier for earlier, later in pairwise(times)]
        gaps = [at for at, step in enumerate(steps, 1) if step > 1.5 * min(steps)]
        for at in reversed(gaps):
            times.insert(at, (times[at - 1] + times[at]) / 2)
            values.insert(at, math.nan)
    return [time / 86_400 for time in times], values


def _scale(panel: Panel, set_formatter: Callable[[Formatter], None]) -> None:
    if panel.unit == "percentunit":
        set_formatter(PercentFormatter(xmax=1, decimals=0))
    elif panel.unit == "s":
        set_formatter(FuncFormatter(lambda value, _: _duration(value)))


def _format(panel: Panel, value: float) -> str:
    if panel.unit == "percentunit":
        return f"{value:.1%}"
    if panel.unit == "s":
        return _duration(value)
    return f"{value:,.0f}" if value == round(value) else f"{value:,.3g}"


def _duration(seconds: float) -> str:
    """Write seconds in the largest unit of which they are one at least, as Grafana shows `s`."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms"


def _nothing(panel: Panel, axes: Axes) -> None:
    axes.text(
        0.5,
        0.5,
        panel.nothing,
        transform=axes.transAxes,
        color="#8a8a8a",
        ha="center",
        va="center",
    )


def _short(labels: Sequence[str], width: int = 14) -> list[str]:
    return [label if len(label) <= width else label[: width - 1] + "…" for label in labels]
