import re
from pathlib import Path

import pytest
from nbformat.v4 import new_output
from playwright.sync_api import Browser

from closedloop.notebook.display import show
from closedloop.paths import checkout_root
from closedloop.suite.html import page
from tests.suite.browser import PROPORTIONAL, fonts
from tests.suite.fakes import code, notebook, slide


def test_a_page_needs_nothing_from_the_network(tmp_path: Path) -> None:
    path = notebook(tmp_path / "01_a.ipynb", "# The title", "answer = 42")
    html = page(path, tmp_path, tmp_path)
    assert "The title" in html
    assert "42" in html
    assert "<script" not in html
    assert not re.findall(r"""(?:src|href)=["']https?:""", html)


def test_a_source_is_shown_highlighted_and_adds_nothing_of_the_network(tmp_path: Path) -> None:
    shown = code("show('a.yaml')")
    data = {"text/html": show("istio/gateway.yaml")._repr_html_()}
    shown.outputs = [new_output("display_data", data=data)]
    html = page(notebook(tmp_path / "01_a.ipynb", shown), tmp_path, tmp_path)
    assert '<span class="c1"># ' in html
    assert ".highlight .c1 {" in html  # the page's own colours
    assert not re.findall(r"""(?:src|href)=["']https?:""", html)


def test_speaker_notes_are_left_out(tmp_path: Path) -> None:
    html = page(notebook(tmp_path / "01_a.ipynb", slide("say this", "notes")), tmp_path, tmp_path)
    assert "say this" not in html


def test_progress_that_was_printed_piece_by_piece_is_one_text(tmp_path: Path) -> None:
    cell = code("install()")
    cell.outputs = [new_output("stream", text=text) for text in ("one … ", "two … ", "\n")]
    html = page(notebook(tmp_path / "01_a.ipynb", cell), tmp_path, tmp_path)
    assert "<pre>one … two … \n</pre>" in html


def test_a_file_that_is_linked_lies_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = checkout_root() / "notebooks"
    monkeypatch.chdir(originals)
    cell = code("show('istio/gateway.yaml', 'spec')")
    data = {"text/html": show("istio/gateway.yaml", "spec")._repr_html_()}
    cell.outputs = [new_output("display_data", data=data)]
    path = notebook(tmp_path / "01_a.ipynb", "# ![x](../img/custom-stateful.png)", cell)
    html = page(path, originals, tmp_path)
    (linked,) = re.findall(r'href="(files/[^"]*)"', html)
    assert "seldon-gateway" in (tmp_path / linked).read_text()
    assert 'src="data:image/png;base64,' in html
    assert "../" not in re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)


def test_code_is_set_in_the_font_of_code(tmp_path: Path, browser: Browser) -> None:
    cell = code("show('istio/gateway.yaml')")
    data = {"text/html": show("istio/gateway.yaml")._repr_html_()}
    cell.outputs = [new_output("display_data", data=data)]
    path = tmp_path / "01_a.html"
    path.write_text(page(notebook(tmp_path / "01_a.ipynb", cell), tmp_path, tmp_path))
    seen = fonts(browser, path)
    assert {"output", "input"} == set(seen)
    assert not [font for font in seen.values() if any(each in font for each in PROPORTIONAL)]
    assert seen["output"] == seen["input"]
