import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.notebook.dashboards import DashboardError, load, parse
from closedloop.notebook.dashboards.dashboard import Target

FOLDER = Path(__file__).parents[3] / "manifests" / "dashboards"
# What one logger tells of the events of all models.
ALL_TOGETHER = {
    "Events logged per second",
    "Receipt to acknowledged by Elasticsearch",
    "Logger queue",
}
PANEL: dict[str, Any] = {
    "title": "Accuracy",
    "type": "timeseries",
    "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
    "targets": [{"expr": "up", "legendFormat": "{{ job }} is up"}],
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_dashboard_of_ours_can_be_drawn(path: Path) -> None:
    dashboard = load(path, **chosen(path))
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


ASKING: dict[str, Any] = {
    "title": "d",
    "templating": {
        "list": [{"name": "model"}, {"name": "way", "includeAll": True, "allValue": ".*"}]
    },
    "panels": [
        {**PANEL, "targets": [{"expr": 'up{m="$model", w=~"${way}"}', "legendFormat": "$model"}]}
    ],
}


def test_a_variable_that_may_be_all_is_all_and_another_has_to_be_chosen() -> None:
    (panel,) = parse(ASKING, model="wine").panels
    assert panel.targets == (Target('up{m="wine", w=~".*"}', "wine"),)
    (panel,) = parse(ASKING, model="wine", way="a").panels
    assert panel.targets == (Target('up{m="wine", w=~"a"}', "wine"),)
    with pytest.raises(DashboardError, match=r"d has no value for \$model: give `model=`"):
        parse(ASKING)


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


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_dashboard_is_of_any_model(path: Path) -> None:
    """Which one is said by variables alone."""
    assert {"namespace", "deployment"} <= variables(path).keys()
    assert not re.search('seldon[/"]|sklearn|iris|logistic|perceptron', path.read_text())
    for panel in load(path, **chosen(path)).panels:
        assert panel.title in ALL_TOGETHER or "other" in str(panel.targets), panel.title


def variables(path: Path) -> dict[str, Any]:
    (text,) = yaml.safe_load(path.read_text())["data"].values()
    return {each["name"]: each for each in json.loads(text)["templating"]["list"]}


def chosen(path: Path) -> dict[str, str]:
    return dict.fromkeys(variables(path), "other")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_line_of_a_share_has_room_above_and_the_interval_around_it(path: Path) -> None:
    for panel in load(path, **chosen(path)).panels:
        if panel.kind == "timeseries" and panel.unit == "percentunit":
            assert (panel.maximum or 0) > 1.03, panel.title
            names = {target.legend for target in panel.targets}
            lines = {name for name in names if not name.endswith((" lower", " upper"))}
            lines -= panel.dashed
            bounded = {name + end for name in lines for end in ("", " lower", " upper")}
            assert names == bounded | panel.dashed


def test_a_dashed_line_is_the_threshold_that_the_rules_record() -> None:
    board = load(FOLDER / "accuracy.yaml", **chosen(FOLDER / "accuracy.yaml"))
    for title, record in (
        ("Accuracy", "threshold"),
        ("Feedback scored in 30 s", "threshold_pieces"),
    ):
        panel = board.panel(title)
        dashed = [target.expr for target in panel.targets if target.legend in panel.dashed]
        assert dashed == [f"closedloop:accuracy:{record}"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_line_of_a_share_begins_with_as_many_pieces_as_the_rules_say(path: Path) -> None:
    """Of fewer it says next to nothing; that of the last 30 s is recorded so."""
    for panel in load(path, **chosen(path)).panels:
        if panel.kind == "timeseries" and panel.unit == "percentunit":
            for target in panel.targets:
                if target.legend not in panel.dashed:
                    fewest = r">= on \(\) group_left \(\) closedloop:accuracy:fewest_pieces$"
                    assert re.search(f"{fewest}|:window30s", target.expr), target.expr
