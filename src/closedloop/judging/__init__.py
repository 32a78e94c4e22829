"""Judging two models that answer now: evidence, comparison, and the change of their roles."""
