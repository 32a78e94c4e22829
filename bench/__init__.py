"""The speed of our services, as ratios within one run; `python -m bench` runs all of it.

A module in this folder with a function `run() -> dict[str, float]` is a
benchmark; its docstring explains the names.
"""
