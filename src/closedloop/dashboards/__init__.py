"""Grafana's dashboards, drawn in a notebook from the same JSON and the same PromQL."""

from closedloop.dashboards.dashboard import Dashboard, DashboardError, Panel, load, parse
from closedloop.dashboards.draw import draw, draw_panel
from closedloop.dashboards.prometheus import Prometheus, QueryError, Series

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
