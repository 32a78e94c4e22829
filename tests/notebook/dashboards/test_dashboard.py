import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.notebook.dashboards import DashboardError, load, parse
from closedloop.notebook.dashboards.dashboard import Target

FOLDER = Path(__file__).parents[3] / "manifests" / "dashboards"
PANEL: dict[str, Any] = {
    "title": "Accuracy",
    "type": "timeseries",
    "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
    "targets": [{"expr": "up", "legendFormat": "{{ job }} is up"}],
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_dashboard_of_ours_can_be_drawn(path: Path) -> None:
    dashboard = load(path)
    assert dashboard.panels
    for panel in dashboard.panels:
        assert panel.targets
        assert panel.x + panel.width <= 24


def test_a_legend_is_filled_in_from_labels() -> None:
    (panel,) = parse({"title": "d", "panels": [PANEL]}).panels
    assert panel.targets[0].name({"job": "a"}) == "a is up"


def test_without_a_legend_all_labels_name_a_series() -> None:
    assert Target("up", "").name({"__name__": "up", "job": "a", "pod": "b"}) == "job=a, pod=b"


def test_a_panel_type_that_cannot_be_drawn_is_named() -> None:
    with pytest.raises(DashboardError, match="panel 'Accuracy' is a piechart"):
        parse({"title": "d", "panels": [{**PANEL, "type": "piechart"}]})


def test_an_absent_panel_is_named_with_those_there_are() -> None:
    with pytest.raises(DashboardError, match="d has no panel 'x': it has 'Accuracy'"):
        parse({"title": "d", "panels": [PANEL]}).panel("x")


def variable(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "type": "query", "current": {"text": value, "value": value}}


ASKING: dict[str, Any] = {
    "title": "d",
    "templating": {"list": [variable("model", "iris"), variable("way", "a")]},
    "panels": [
        {**PANEL, "targets": [{"expr": 'up{m="$model", w="${way}"}', "legendFormat": "$model"}]}
    ],
}


def test_variables_have_the_values_that_the_json_gives_them() -> None:
    (panel,) = parse(ASKING).panels
    assert panel.targets == (Target('up{m="iris", w="a"}', "iris"),)


def test_variables_can_be_given_other_values() -> None:
    (panel,) = parse(ASKING, model="wine").panels
    assert panel.targets == (Target('up{m="wine", w="a"}', "wine"),)


def test_a_variable_that_a_dashboard_does_not_have_is_named_with_those_it_has() -> None:
    with pytest.raises(DashboardError, match="d has no variable 'modle': it has model, way"):
        parse(ASKING, modle="wine")


def test_a_query_with_an_unknown_variable_is_none() -> None:
    with pytest.raises(DashboardError, match=r"d asks for \$model and has none: define it"):
        parse({"title": "d", "panels": ASKING["panels"]})


def test_the_groups_of_a_pattern_are_no_variables() -> None:
    target = {"expr": 'label_replace(up, "a", "$1", "b", "(.+)$")'}
    (panel,) = parse({"title": "d", "panels": [{**PANEL, "targets": [target]}]}).panels
    assert panel.targets[0].expr == target["expr"]


def test_a_dashboard_is_of_any_model() -> None:
    """Which one is said by variables alone."""
    for path in FOLDER.glob("*.yaml"):
        asked = [target.expr for panel in load(path).panels for target in panel.targets]
        others = load(path, **dict.fromkeys(variables(path), "other"))
        assert not re.search("sklearn|iris", str(others)), path.stem
        if variables(path):
            assert asked != [target.expr for panel in others.panels for target in panel.targets]


def variables(path: Path) -> list[str]:
    (text,) = yaml.safe_load(path.read_text())["data"].values()
    return [each["name"] for each in json.loads(text)["templating"]["list"]]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_line_of_a_share_has_room_above_and_the_interval_around_it(path: Path) -> None:
    for panel in load(path).panels:
        if panel.kind == "timeseries" and panel.unit == "percentunit":
            assert (panel.maximum or 0) > 1.03, panel.title
            names = {target.legend for target in panel.targets}
            lines = {name for name in names if not name.endswith((" lower", " upper"))}
            assert names == {name + end for name in lines for end in ("", " lower", " upper")}


def test_the_threshold_of_the_alert_is_that_of_the_chart() -> None:
    board = load(FOLDER / "accuracy.yaml")
    assert board.panel("Accuracy").threshold == 0.5
    assert board.panel("Feedback scored in 30 s").threshold == 50


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_line_of_a_share_begins_with_twenty_pieces(path: Path) -> None:
    """Of fewer it says next to nothing; that of the last 30 s is recorded so."""
    for panel in load(path).panels:
        if panel.kind == "timeseries" and panel.unit == "percentunit":
            for target in panel.targets:
                assert re.search("scored >= 20$|:window30s", target.expr), target.expr
