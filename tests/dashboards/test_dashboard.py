from pathlib import Path

import pytest

from closedloop.dashboards import DashboardError, load, parse
from closedloop.dashboards.dashboard import Target

FOLDER = Path(__file__).parents[2] / "manifests" / "dashboards"
PANEL = {
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


def test_the_bands_of_an_interval_are_read() -> None:
    panel = load(FOLDER / "accuracy.yaml").panel("Accuracy")
    assert panel.bands == {"all feedback upper": "all feedback lower"}
    assert panel.threshold == 0.5
