import re
from pathlib import Path

from nbformat.v4 import new_output

from closedloop.notebook.display import show
from closedloop.suite.html import page
from tests.suite.fakes import code, notebook


def test_a_page_needs_nothing_from_the_network(tmp_path: Path) -> None:
    path = notebook(tmp_path / "01_a.ipynb", "# The title", "answer = 42")
    html = page(path, tmp_path)
    assert "The title" in html
    assert "42" in html
    assert "<script" not in html
    assert not re.findall(r"""(?:src|href)=["']https?:""", html)


def test_a_source_is_shown_highlighted_and_adds_nothing_of_the_network(tmp_path: Path) -> None:
    shown = code("show('a.yaml')")
    data = {"text/html": show("istio/gateway.yaml")._repr_html_()}
    shown.outputs = [new_output("display_data", data=data)]
    html = page(notebook(tmp_path / "01_a.ipynb", shown), tmp_path)
    assert '<span class="c1"># ' in html
    assert ".highlight .c1 {" in html  # the page's own colours
    assert not re.findall(r"""(?:src|href)=["']https?:""", html)
