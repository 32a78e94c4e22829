import re
from pathlib import Path

from closedloop.suite.html import page
from tests.suite.fakes import notebook


def test_a_page_needs_nothing_from_the_network(tmp_path: Path) -> None:
    path = notebook(tmp_path / "01_a.ipynb", "# The title", "answer = 42")
    html = page(path, tmp_path)
    assert "The title" in html
    assert "42" in html
    assert "<script" not in html
    assert not re.findall(r"""(?:src|href)=["']https?:""", html)
