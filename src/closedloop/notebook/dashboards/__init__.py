"""Grafana's dashboards, drawn in a notebook from the same JSON and the same PromQL."""

from closedloop.notebook.dashboards.dashboard import Dashboard, DashboardError, Panel, load, parse
from closedloop.notebook.dashboards.draw import draw, draw_panel
from closedloop.notebook.dashboards.prometheus import Prometheus, QueryError, Series

__all__ = [
    "Dashboard",
    "DashboardError",
    "Panel",
    "Prometheus",
    "QueryError",
    "Series",
    "draw",
    "draw_panel",
    "load",
    "parse",
]
