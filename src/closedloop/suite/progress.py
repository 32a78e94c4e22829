"""The progress of a run: a line a notebook, and where it is inside one."""

import ast
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from nbformat import NotebookNode
from rich.console import Console

from closedloop.suite.outcome import Outcome

_BEAT = 20.0  # seconds between lines about a notebook that takes long, off a terminal
_TALKATIVE_BEAT = 5.0

_MARKS = {"ok": "green", "failed": "red", "interrupted": "yellow", "not run": "dim"}


class NotebookProgress:
    """Progress of one notebook, as a context manager around its execution.

    On a terminal papermill's own bar shows the cells, with the heading of the
    current one, and its clock keeps going during a long cell. Elsewhere there
    is a line at the start and one every twenty seconds. If `talkative`, there
    is a line for each cell that waits, and one every five seconds.
    """

    def __init__(
        self, console: Console, name: str, beat: float | None = None, *, talkative: bool = False
    ) -> None:
        self.cells = 0
        self.total = 0
        self._console, self._name, self._talkative = console, name, talkative
        self._beat = beat or (_TALKATIVE_BEAT if talkative else _BEAT)
        self._bar: Any = None
        self._where = "starting"
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)

    @property
    def bar(self) -> bool | dict[str, Any]:
        """papermill's `progress_bar`."""
        if not self._console.is_terminal:
            return False
        # rich knows a size where the terminal itself says 0 by 0, where tqdm would show nothing.
        size = {"ncols": self._console.width, "nrows": self._console.height}
        return {"desc": self._name, "leave": False, "file": self._console.file, **size}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{self._name} …", highlight=False)
        self._clock.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._clock.join()

    def on_cell(self, manager: Any, index: int) -> None:
        """A cell begins; `manager` is papermill's."""
        self.cells, self.total = index + 1, len(manager.nb.cells)
        cell = manager.nb.cells[index]
        awaited = waits(cell.source) if cell.cell_type == "code" else []
        self._where = heading(manager.nb.cells, index)
        self._bar = manager.pbar
        if self._talkative and awaited:
            self.say(f"waiting for {', then '.join(awaited)}")
            self._where = f"waiting for {', '.join(awaited)}"
        if self._bar is not None:
            self._bar.set_description(f"{self._name} · {self._where}"[:70])

    def say(self, text: str) -> None:
        """Print lines, above the bar where there is one."""
        if self._bar is not None and not self._bar.disable:
            self._bar.clear()
        for each in text.splitlines():
            self._console.print(f"  {each}", highlight=False, markup=False, soft_wrap=True)

    def _tick(self) -> None:
        while not self._over.wait(1.0 if self._console.is_terminal else self._beat):
            if self._bar is not None and not self._bar.disable:
                self._bar.refresh()
            elif not self._console.is_terminal:
                self._console.print(
                    f"  {self._name}: cell {self.cells} of {self.total}, {self._where},"
                    f" {self.seconds:.0f} s",
                    highlight=False,
                    soft_wrap=True,
                )


def waits(source: str) -> list[str]:
    """The conditions that a cell waits for, in its words: of `until` the `what`, of a platform's
    `wait` the object; traffic until its end, and the installation of the platform."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic command; the kernel will say more
        return []
    found = []
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue  # it is only described here
        for call in (node for node in ast.walk(statement) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            words = {keyword.arg: keyword.value for keyword in call.keywords}
            texts = [_text(each) for each in call.args if isinstance(each, ast.Constant)]
            if name == "until" and "what" in words:
                found.append(_text(words["what"]))
            elif name == "wait" and len(texts) >= 2:
                found.append(" ".join(texts[:2]))
            elif name == "Traffic":
                found.append("traffic")
            elif name == "install_everything":
                found.append("every part of the platform")
    return found


def _text(value: ast.expr) -> str:
    """The text of a string; an ellipsis for each part that is known only when it runs."""
    if isinstance(value, ast.JoinedStr):
        return "".join(_text(each) for each in value.values)
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return "…"


def heading(cells: Sequence[NotebookNode], index: int) -> str:
    """The last heading at or above a cell, without its marks."""
    for cell in reversed(cells[: index + 1]):
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    return str(line.lstrip("# ").strip())
    return "start"


def line(outcome: Outcome) -> str:
    """The line, in rich's markup, about the outcome of a notebook."""
    cells = f"{outcome.cells} of {outcome.total} cells" if outcome.total else ""
    colour = _MARKS[outcome.state]
    took = f"{outcome.seconds:7.1f} s" if outcome.state != "not run" else " " * 9
    return f"[{colour}]{outcome.state:<11}[/] {outcome.notebook:<24} {took}   {cells}".rstrip()
