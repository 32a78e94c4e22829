"""Dashboards, tables, traffic and waiting, for notebooks and the command line."""
