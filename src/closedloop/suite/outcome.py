"""The outcome of a notebook: its state, and of a failure everything a reader needs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat

State = Literal["ok", "failed", "interrupted", "not run"]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a notebook failed: `cell` counts from 1; cell 0 is no cell but the kernel itself."""

    cell: int
    cell_id: str
    source: str
    streams: str
    error: str
    summary: str

    def text(self, notebook: str) -> str:
        """All of it, for a terminal or a file."""
        where = f"cell {self.cell} ({self.cell_id})" if self.cell else "its kernel"
        parts = [f"{notebook} failed in {where}: {self.summary}"]
        for title, body in (
            ("source", self.source),
            ("printed", self.streams),
            ("error", self.error),
        ):
            if body.strip():
                indented = "\n".join(f"    {line}" for line in body.rstrip().splitlines())
                parts.append(f"  {title}:\n{indented}")
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One notebook of a run; `cells` counts those that were begun, of `total`."""

    notebook: str
    state: State
    seconds: float = 0.0
    cells: int = 0
    total: int = 0
    failure: Failure | None = None


def failure_in(executed: Path, error: BaseException, begun: int) -> Failure:
    """Why an executed notebook failed: its first cell with an error, else the last one `begun`
    (counted from 1) before `error` ended it, else the kernel."""
    cells = nbformat.read(executed, as_version=4).cells if executed.exists() else []
    cells = [cell for cell in cells if "papermill" in cell.metadata]  # not papermill's own remarks
    for number, cell in enumerate(cells, start=1):
        raised = [o for o in cell.get("outputs", []) if o.output_type == "error"]
        if raised:
            trace = plain("\n".join(raised[0].traceback))
            summary = plain(f"{raised[0].ename}: {raised[0].evalue}").splitlines()[0]
            return _failure(number, cell, trace, summary)
    summary = plain(f"{type(error).__name__}: {error}")
    if 0 < begun <= len(cells):
        return _failure(begun, cells[begun - 1], summary, summary.splitlines()[0])
    return Failure(0, "", "", "", summary, summary.splitlines()[0])


def plain(text: str) -> str:
    """Without the colours of a terminal."""
    return _ANSI.sub("", text)


def _failure(number: int, cell: nbformat.NotebookNode, error: str, summary: str) -> Failure:
    streams = "".join(o.text for o in cell.get("outputs", []) if o.output_type == "stream")
    return Failure(number, cell.get("id", ""), cell.source, plain(streams), error, summary)
