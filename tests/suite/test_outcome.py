from pathlib import Path

from nbformat.v4 import new_output

from closedloop.suite.outcome import Failure, failure_in, plain
from tests.suite.fakes import code, notebook


def ran(path: Path, *cells: tuple[str, list[object]]) -> Path:
    made = []
    for source, outputs in cells:
        cell = code(source)
        cell.metadata["papermill"] = {}
        cell.outputs = outputs
        made.append(cell)
    return notebook(path, *made)


ERROR = new_output(
    "error", ename="KeyError", evalue="'x'", traceback=["\x1b[31mKeyError\x1b[0m", "'x'"]
)


def test_the_cell_that_raised_with_what_it_printed(tmp_path: Path) -> None:
    path = ran(
        tmp_path / "01_a.ipynb",
        ("1", []),
        ("d['x']", [new_output("stream", text="before\n"), ERROR]),
    )
    found = failure_in(path, RuntimeError("papermill's"), begun=3)
    assert (found.cell, found.source, found.streams) == (2, "d['x']", "before\n")
    assert (found.summary, found.error) == ("KeyError: 'x'", "KeyError\n'x'")


def test_the_cell_that_ran_when_the_kernel_died(tmp_path: Path) -> None:
    path = ran(tmp_path / "01_a.ipynb", ("1", []), ("os._exit(1)", []))
    found = failure_in(path, RuntimeError("Kernel died"), begun=2)
    assert (found.cell, found.source) == (2, "os._exit(1)")
    assert found.summary == "RuntimeError: Kernel died"


def test_a_kernel_that_never_started(tmp_path: Path) -> None:
    found = failure_in(tmp_path / "absent.ipynb", RuntimeError("no kernel"), begun=0)
    assert found.cell == 0
    assert found.text("01_a") == (
        "01_a failed in its kernel: RuntimeError: no kernel\n  error:\n    RuntimeError: no kernel"
    )


def test_the_text_leaves_out_what_is_empty() -> None:
    failure = Failure(3, "03-04", "f(x)", "", "NameError\nx", "NameError: x")
    assert failure.text("03_a") == (
        "03_a failed in cell 3 (03-04): NameError: x\n"
        "  source:\n    f(x)\n"
        "  error:\n    NameError\n    x"
    )


def test_colours_are_left_out() -> None:
    assert plain("\x1b[1;31mred\x1b[0m and \x1b[Kplain") == "red and plain"
