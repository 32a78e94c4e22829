import base64
from pathlib import Path

import nbformat
from nbformat.v4 import new_output

from closedloop.suite.figures import figures_of, write_figures
from tests.suite.fakes import code, notebook


def picture(content: bytes, *tags: str) -> nbformat.NotebookNode:
    cell = code("plot()", *tags)
    data = {"image/png": base64.b64encode(content).decode()}
    cell.outputs = [new_output("display_data", data=data)]
    return cell


def test_the_tag_names_a_picture_and_the_heading_is_its_caption(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "03_a.ipynb",
        "# Title\n\n## Two pies\n\nText.",
        picture(b"one", "figure-pies"),
        picture(b"two"),
    )
    figures = figures_of(path)
    assert [(f.name, f.caption, f.png) for f in figures] == [
        ("pies", "Title", b"one"),
        ("03_a-title", "Title", b"two"),
    ]


def test_a_notebook_that_ran_again_overwrites_no_picture(tmp_path: Path) -> None:
    cell = picture(b"one", "figure-pies")
    path = notebook(tmp_path / "03_a-other.ipynb", "# Title", cell, picture(b"two"))
    assert [f.name for f in figures_of(path)] == ["pies-other", "03_a-other-title"]


def test_names_that_come_again_get_a_number(tmp_path: Path) -> None:
    path = notebook(tmp_path / "03_a.ipynb", picture(b"1"), picture(b"2"), picture(b"3"))
    assert [f.name for f in figures_of(path)] == ["03_a-start", "03_a-start-2", "03_a-start-3"]


def test_writes_each_as_png(tmp_path: Path) -> None:
    path = notebook(tmp_path / "03_a.ipynb", picture(b"one", "figure-pies"))
    (file,) = write_figures(figures_of(path), tmp_path / "figures")
    assert file.name == "pies.png"
    assert file.read_bytes() == b"one"
