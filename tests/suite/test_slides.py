import re
from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell, new_output

from closedloop.suite import SuiteError
from closedloop.suite.slides import write_slides
from tests.suite.fakes import code, notebook

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c"
    "6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
def deck(tmp_path: Path) -> str:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "loop.png").write_bytes(PIXEL)
    title = new_markdown_cell("# The title\n\n![loop](img/loop.png)")
    title.metadata["slideshow"] = {"slide_type": "slide"}
    hidden = code("secret = 1", "hide-input")
    hidden.outputs = [new_output("stream", text="what it shows")]
    path = notebook(tmp_path / "01_a.ipynb", title, hidden)
    (written,) = write_slides([path], tmp_path / "slides", images=tmp_path)
    return written.read_text()


def test_opens_without_a_network(deck: str) -> None:
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#|[$])[^"']*""", deck)
    assert not re.findall(r"""@import\s*(?:url\()?["']""", deck)
    assert not re.findall(r"""url\(\s*["']?(?:https?:)?//""", deck)
    assert "require(" not in deck


def test_is_a_reveal_deck_with_the_pictures_inside(deck: str) -> None:
    assert "Reveal.initialize" in deck
    assert deck.count("<script>") == 2
    assert "The title" in deck
    assert "data:image/png;base64," in deck


def test_hidden_code_is_left_out_but_not_what_it_shows(deck: str) -> None:
    assert "secret" not in deck
    assert "what it shows" in deck


def test_there_is_a_page_with_links(tmp_path: Path) -> None:
    paths = [notebook(tmp_path / f"0{i}_a.ipynb", "# a") for i in (1, 2)]
    decks = write_slides(paths, tmp_path / "slides", images=tmp_path)
    index = (tmp_path / "slides" / "index.html").read_text()
    assert all(f'href="{deck.name}"' in index for deck in decks)


def test_without_notebooks_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no notebook"):
        write_slides([], tmp_path, images=tmp_path)
