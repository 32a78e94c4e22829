"""For notebooks and the command line: dashboards, tables, traffic, waiting."""
