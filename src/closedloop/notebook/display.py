"""Manifests, sources, tables and charts that move, shown in a notebook."""

import html
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import HTML, Code, DisplayHandle, display
from matplotlib.figure import Figure

from closedloop.notebook import excerpts

# Otherwise a figure is a picture only once pyplot was used.
if shell := get_ipython():
    select_figure_formats(shell, {"png"})


def show(manifest: str, path: str = "", fold: Collection[str] = ()) -> Code:
    """A manifest, or the part of it that `path` leads to, with a link to the whole file.

    `fold` has the keys of which an ellipsis stands for the value. Raises
    ValueError if `path` leads nowhere.
    """
    part = excerpts.manifest(manifest, path, fold)
    return _Excerpt(part, "yaml", excerpts.manifest_file(manifest), f"manifests/{manifest}")


def source(module: str, member: str = "") -> Code:
    """A source file of this package, or the class or function `member`, and a link to the file.

    Raises ValueError if there is no such member.
    """
    part = excerpts.module(module, member)
    return _Excerpt(part, "python", excerpts.module_file(module), f"closedloop/{module}")


def as_yaml(document: Mapping[str, Any]) -> Code:
    """A document of plain values, such as JSON, as YAML: a line a field, short lists in one."""
    text = yaml.safe_dump(
        document, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100
    )
    return Code(text, language="yaml")


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


class _Excerpt(Code):
    """Lines of a file, and a link to it that is relative to the notebook's folder."""

    def __init__(self, lines: str, language: str, file: Path, name: str) -> None:
        super().__init__(lines, language=language)  # type: ignore[no-untyped-call]  # IPython's
        self._link = f"<a href='{html.escape(os.path.relpath(file))}'>{html.escape(name)}</a>"

    def _repr_html_(self) -> str:
        code = super()._repr_html_()  # type: ignore[no-untyped-call]  # IPython's
        return f"{code}<p class='closedloop-file'>{self._link}</p>"


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
