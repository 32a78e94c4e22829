import io
import threading
from types import SimpleNamespace

from nbformat.v4 import new_code_cell, new_markdown_cell
from rich.console import Console

from closedloop.suite.outcome import Outcome
from closedloop.suite.progress import NotebookProgress, heading, line, waits

CELLS = [
    new_code_cell("1"),
    new_markdown_cell("## First\n\ntext"),
    new_code_cell("2"),
    new_markdown_cell("no heading"),
    new_code_cell("3"),
]


def test_the_heading_above_a_cell() -> None:
    assert [heading(CELLS, index) for index in range(5)] == ["start", *["First"] * 4]


def test_off_a_terminal_a_long_notebook_says_where_it_is() -> None:
    class Lines(io.StringIO):
        def write(self, text: str) -> int:
            if "cell 3 of 5, First" in text:
                seen.set()
            return super().write(text)

    seen = threading.Event()
    console = Console(file=Lines(), width=100)
    with NotebookProgress(console, "03_a", beat=0.01) as progress:
        progress.on_cell(SimpleNamespace(nb=SimpleNamespace(cells=CELLS), pbar=None), 2)
        assert seen.wait(5)
    assert (progress.cells, progress.total) == (3, 5)
    assert progress.bar is False


def test_on_a_terminal_the_bar_is_papermills() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    bar = NotebookProgress(console, "03_a").bar
    assert isinstance(bar, dict)
    assert (bar["desc"], bar["file"]) == ("03_a", console.file)


def test_the_line_of_a_notebook() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(line(Outcome("03_a", "ok", 61.25, 40, 40)), highlight=False)
    console.print(line(Outcome("04_b", "not run")), highlight=False)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "ok          03_a                        61.2 s   40 of 40 cells",
        "not run     04_b",
    ]


def test_the_conditions_that_a_cell_waits_for() -> None:
    source = (
        "install_everything(loop)\n"
        "(one,) = until(lambda: 1, what='a first scrape', timeout=60)\n"
        "loop.wait('SeldonDeployment', 'sklearn', 'seldon', timeout=600)\n"
        "until(f, what=f'{n} rows')\nwith Traffic(url, plan) as sent: pass\n"
        "def later():\n    until(f, what='something else')"
    )
    assert waits(source) == [
        "every part of the platform",
        "a first scrape",
        "SeldonDeployment sklearn",
        "… rows",
        "traffic",
    ]
    assert waits("%matplotlib inline") == []
