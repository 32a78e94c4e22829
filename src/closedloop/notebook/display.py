"""Manifests, sources, tables and charts that move, shown in a notebook."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import HTML, Code, DisplayHandle, display
from matplotlib.figure import Figure

import closedloop
from closedloop.paths import manifests_folder

# Otherwise a figure is a picture only once pyplot was used.
if shell := get_ipython():
    select_figure_formats(shell, {"png"})


def show(manifest: str) -> Code:
    """A manifest, named by its path under `manifests/`."""
    return Code(filename=str(manifests_folder() / manifest))


def source(module: str) -> Code:
    """A file of this package, named by its path in it."""
    return Code(filename=str(Path(closedloop.__file__).parent / module))


def table(rows: Iterable[Any], columns: Sequence[str] = ()) -> HTML:
    """A table of dataclass instances, of mappings, or of sequences with `columns` as heads."""
    rows = list(rows)
    if not columns and rows:
        first = rows[0]
        columns = [f.name for f in fields(first)] if is_dataclass(first) else list(first)
    head = "".join(f"<th style='text-align:left'>{html.escape(str(c))}</th>" for c in columns)
    body = "".join(f"<tr>{_cells(row, columns)}</tr>" for row in rows)
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


class Live:
    """A figure that is shown once and drawn again in place.

    Use it as a context manager; `update()` redraws, and leaving it draws the
    last state, so that the picture that stays is the final one.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self._handle: DisplayHandle | None = None

    def __enter__(self) -> Self:
        self._handle = display(self.figure, display_id=True)
        return self

    def update(self) -> None:
        """Draw the figure as it is now."""
        if self._handle is not None:
            self._handle.update(self.figure)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.update()


def _cells(row: Any, columns: Sequence[str]) -> str:
    if is_dataclass(row) and not isinstance(row, type):
        values: Sequence[Any] = astuple(row)
    elif isinstance(row, dict):
        values = [row.get(column, "") for column in columns]
    else:
        values = row
    return "".join(f"<td style='text-align:left'>{html.escape(_text(v))}</td>" for v in values)


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
