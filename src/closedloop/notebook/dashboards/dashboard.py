"""A Grafana dashboard as read from its JSON, as far as we draw it.

Source of the shape: Grafana's dashboard JSON model, schemaVersion 39 and
later: `panels[].{title,type,gridPos,targets,fieldConfig,transformations}` and
`templating.list[].{name,includeAll,allValue}`. A variable is `$name` in a query or
a legend; where nobody chooses its value, it is that which stands for all, if there is one.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PANEL_TYPES = ("timeseries", "stat", "bargauge", "table")
_TEMPLATE = re.compile(r"\{\{\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")
_VARIABLE = re.compile(r"\$(?:\{([a-zA-Z_]\w*)\}|([a-zA-Z_]\w*))")


class DashboardError(ValueError):
    """A dashboard that cannot be drawn; one sentence: the panel, the fault, the remedy."""


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a panel and how its series are named."""

    expr: str
    legend: str

    def name(self, labels: Mapping[str, str]) -> str:
        """The legend of a series: `{{label}}` filled in, or all labels when there is no format."""
        if not self.legend:
            return ", ".join(f"{k}={v}" for k, v in labels.items() if k != "__name__") or "value"
        return _TEMPLATE.sub(lambda match: labels.get(match.group(1), ""), self.legend)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `x`, `y`, `width`, `height` are in Grafana's grid of 24 columns.

    `matrix` is (row label, column label) where a table is a matrix, as by
    Grafana's transformation `groupingToMatrix`. `nothing` is shown in place of
    data, `joined` says whether a line goes on over absent values, `dashed` names
    the lines that are thresholds. Series named `<line> lower` and `<line> upper`
    bound that line.
    """

    title: str
    kind: str
    x: int
    y: int
    width: int
    height: int
    targets: tuple[Target, ...]
    unit: str
    minimum: float | None
    maximum: float | None
    dashed: frozenset[str]
    matrix: tuple[str, str] | None
    nothing: str
    joined: bool


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard: a title and its panels."""

    title: str
    panels: tuple[Panel, ...]

    def panel(self, title: str) -> Panel:
        """The panel with that title. Raises `DashboardError` when there is none."""
        for panel in self.panels:
            if panel.title == title:
                return panel
        titles = ", ".join(repr(panel.title) for panel in self.panels)
        raise DashboardError(f"{self.title} has no panel {title!r}: it has {titles}")


def load(path: str | Path, /, **variables: str) -> Dashboard:
    """Read a dashboard from a ConfigMap manifest that holds one, or from plain JSON.

    `variables` are values of the dashboard's variables. Raises `DashboardError` for a
    panel of a type that is not in `PANEL_TYPES`, for a variable that the dashboard does
    not have, and for one without a value.
    """
    text = Path(path).read_text(encoding="utf-8")
    if str(path).endswith(".json"):
        return parse(json.loads(text), **variables)
    (document,) = yaml.safe_load(text)["data"].values()
    return parse(json.loads(document), **variables)


def parse(model: Mapping[str, Any], /, **variables: str) -> Dashboard:
    """A dashboard from its JSON model, as `load` reads one. Raises `DashboardError`."""
    defined = model.get("templating", {}).get("list", [])
    names = [one["name"] for one in defined]
    known = ", ".join(names) or "none"
    for name in variables.keys() - set(names):
        raise DashboardError(f"{model['title']} has no variable {name!r}: it has {known}")
    values: dict[str, str] = {
        one["name"]: one["allValue"] for one in defined if one.get("includeAll")
    } | variables
    for name in names:
        if name not in values:
            raise DashboardError(f"{model['title']} has no value for ${name}: give `{name}=`")

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in values:
            raise DashboardError(
                f"{model['title']} asks for ${name} and has {known}: define it in templating.list"
            )
        return values[name]

    def filled(text: str) -> str:
        return _VARIABLE.sub(value, text)

    return Dashboard(model["title"], tuple(_panel(panel, filled) for panel in model["panels"]))


def _panel(model: Mapping[str, Any], filled: Callable[[str], str]) -> Panel:
    if model["type"] not in PANEL_TYPES:
        raise DashboardError(
            f"panel {model['title']!r} is a {model['type']}: use one of {', '.join(PANEL_TYPES)}"
        )
    grid, config = model["gridPos"], model.get("fieldConfig", {})
    defaults = config.get("defaults", {})
    return Panel(
        title=model["title"],
        kind=model["type"],
        x=grid["x"],
        y=grid["y"],
        width=grid["w"],
        height=grid["h"],
        targets=tuple(
            Target(filled(target["expr"]), filled(target.get("legendFormat", "")))
            for target in model["targets"]
        ),
        unit=defaults.get("unit", ""),
        minimum=defaults.get("min"),
        maximum=defaults.get("max"),
        dashed=frozenset(
            override["matcher"]["options"]
            for override in config.get("overrides", [])
            for each in override["properties"]
            if each["id"] == "custom.lineStyle" and override["matcher"]["id"] == "byName"
        ),
        matrix=_matrix(model.get("transformations", [])),
        nothing=defaults.get("noValue", "no data"),
        joined=defaults.get("custom", {}).get("spanNulls", True) is not False,
    )


def _matrix(transformations: list[Mapping[str, Any]]) -> tuple[str, str] | None:
    for transformation in transformations:
        if transformation["id"] == "groupingToMatrix":
            options = transformation["options"]
            return options["rowField"], options["columnField"]
    return None
