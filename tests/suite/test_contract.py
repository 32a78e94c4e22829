from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output

from closedloop.suite.contract import faults
from tests.suite.fakes import code, notebook, slide


def test_a_good_notebook(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "01_a.ipynb",
        "# Title",
        "loop = connect(platform)",
        code("plt.plot()", "figure-accuracy", "hide-input"),
        slide("**Say:** hello", "notes"),
    )
    assert faults(path) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import time\ntime.sleep(1)", "line 2 sleeps"),
        ("sleep(1)", "line 1 sleeps"),
        ("if platform == 'cluster':\n    pass", "line 1 depends on the platform"),
        ("where = platform", "line 1 depends on the platform"),
        ("x = 1 if loop.name == 'embedded' else 2", "line 1 depends on the platform"),
        ("match loop.name:\n    case 'cluster': pass", "line 2 depends on the platform"),
        ("%matplotlib inline", "it is not plain Python"),
        ("\n".join(["x = 1"] * 16), "it has 16 lines"),
    ],
)
def test_faults_of_code(source: str, fault: str, tmp_path: Path) -> None:
    (found,) = faults(notebook(tmp_path / "01_a.ipynb", code(source)))[:1]
    assert fault in found
    assert found.startswith("01_a.ipynb, cell ")


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (["x = 1"], "no speaker notes"),
        (["x = 1", slide("two", "subslide"), slide("say", "notes")], "no speaker notes"),
        (["x = 1\n" * 9, "x = 1\n" * 9, slide("say", "notes")], "it has 18 lines"),
        (['show("request-logger/deployment.yaml")', slide("say", "notes")], "lines of code and of"),
        (['show("istio/gateway.yaml", "spec/x")', slide("say", "notes")], "there is no 'x'"),
        (['show("istio/none.yaml")', slide("say", "notes")], "cannot be found"),
        (['source("paths.py", "nobody")', slide("say", "notes")], "there is no 'nobody'"),
        (["x = {}\nx", slide("say", "notes")], "shows a bare value"),
    ],
)
def test_faults_of_slides(cells: list[str | NotebookNode], fault: str, tmp_path: Path) -> None:
    (found,) = faults(notebook(tmp_path / "01_a.ipynb", "# Title", *cells))
    assert fault in found


def test_what_is_not_on_a_slide_is_no_matter(tmp_path: Path) -> None:
    skipped = code("x = 1\n" * 15)
    skipped.metadata["slideshow"] = {"slide_type": "skip"}
    shown = code('show("istio/gateway.yaml", "spec")\n' * 2, "hide-input")
    path = notebook(tmp_path / "01_a.ipynb", skipped, shown, slide("say", "notes"))
    assert faults(path) == []


def test_outputs(tmp_path: Path) -> None:
    cell = code("1")
    cell.outputs = [new_output("stream", text="x")]
    (found,) = faults(notebook(tmp_path / "01_a.ipynb", cell, slide("say", "notes")))
    assert "it has outputs" in found


def test_unknown_tags_and_slide_types(tmp_path: Path) -> None:
    cell = code("1", "injected-parameters", "figure-")
    cell.metadata["slideshow"] = {"slide_type": "page"}
    found = faults(notebook(tmp_path / "01_a.ipynb", cell, slide("say", "notes")))
    assert [fault.split(": ")[1].split(" is ")[0] for fault in found] == [
        "the tag 'injected-parameters'",
        "the tag 'figure-'",
        "the slide type 'page'",
    ]


def test_parameters_without_a_comment_or_without_the_tag(tmp_path: Path) -> None:
    (found,) = faults(notebook(tmp_path / "01_a.ipynb", parameters="n = 1"))
    assert "line 1 is not `name = value  # comment`" in found
    bare = notebook(tmp_path / "02_b.ipynb")
    bare.write_text(bare.read_text().replace('"parameters"', '"hide-input"'))
    found = faults(bare)[0]
    assert "first code cell is not tagged parameters" in found


def test_a_file_that_is_no_notebook(tmp_path: Path) -> None:
    path = tmp_path / "01_a.ipynb"
    path.write_text("{")
    (found,) = faults(path)
    assert found.startswith("01_a.ipynb: not a valid notebook")
