import re
from pathlib import Path

import pytest
from nbformat.v4 import new_output
from playwright.sync_api import Browser

from closedloop.notebook.display import show
from closedloop.paths import checkout_root
from closedloop.suite import SuiteError
from closedloop.suite.pdf import write_pdfs
from closedloop.suite.slides import write_slides
from tests.suite.browser import PROPORTIONAL, fonts
from tests.suite.fakes import code, notebook, slide

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c"
    "6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
def deck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(checkout_root() / "notebooks")
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "loop.png").write_bytes(PIXEL)
    title = slide("# The title\n\n![loop](img/loop.png)", "slide")
    hidden = code("secret = 1", "hide-input")
    hidden.outputs = [new_output("stream", text="what it shows")]
    injected = code("injected = 1", "injected-parameters")
    shown = code("show('istio/gateway.yaml')")
    data = {"text/html": show("istio/gateway.yaml")._repr_html_()}
    shown.outputs = [new_output("display_data", data=data)]
    more = [slide("## The second", "slide"), shown, slide("say this", "notes")]
    path = notebook(tmp_path / "01_a.ipynb", injected, title, hidden, *more)
    (written,) = write_slides([path], tmp_path / "slides", images=tmp_path)
    return written.read_text()


def test_opens_without_a_network(deck: str) -> None:
    deck = re.sub(r"<script>.*?</script>", "", deck, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#|[$])[^"']*""", deck)
    assert not re.findall(r"""@import\s*(?:url\()?["']""", deck)
    assert not re.findall(r"""url\(\s*["']?(?:https?:)?//""", deck)
    assert "require(" not in deck


def test_is_a_reveal_deck_with_the_pictures_inside(deck: str) -> None:
    assert "Reveal.initialize" in deck
    assert "plugins: [RevealNotes]" in deck
    assert "The title" in deck
    assert "data:image/png;base64," in deck


def test_hidden_code_is_left_out_but_not_what_it_shows(deck: str) -> None:
    assert "secret" not in deck
    assert "what it shows" in deck


def test_parameters_are_no_matter_of_an_audience(deck: str) -> None:
    assert "injected = 1" not in deck
    assert "where to run" not in deck


def test_speaker_notes_are_notes(deck: str) -> None:
    (notes,) = re.findall(r'<aside class="notes">(.*?)</aside>', deck, flags=re.DOTALL)
    assert "say this" in notes


def test_code_is_set_in_the_font_of_code(deck: str, tmp_path: Path, browser: Browser) -> None:
    seen = fonts(browser, tmp_path / "slides" / "01_a.slides.html")
    assert not [font for font in seen.values() if any(each in font for each in PROPORTIONAL)]
    assert seen["output"] == seen["input"]


def test_the_key_s_opens_the_notes(deck: str, tmp_path: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'slides' / '01_a.slides.html').as_uri()}#/1")
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    opened.value.get_by_text("say this").wait_for()
    page.context.close()


def test_each_deck_is_printed_by_one_call(deck: str, tmp_path: Path) -> None:
    try:
        (printed,) = write_pdfs([tmp_path / "slides" / "01_a.slides.html"])
    except SuiteError as error:
        pytest.skip(str(error))
    assert printed == tmp_path / "slides" / "01_a.pdf"
    content = printed.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type */Page\b", content)) == 2


def test_without_a_browser_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(SuiteError, match="install Chromium or Chrome"):
        write_pdfs([])
    assert not [*tmp_path.iterdir()]


def test_there_is_a_page_with_links(tmp_path: Path) -> None:
    paths = [notebook(tmp_path / f"0{i}_a.ipynb", "# a") for i in (1, 2)]
    decks = write_slides(paths, tmp_path / "slides", images=tmp_path)
    index = (tmp_path / "slides" / "index.html").read_text()
    assert all(f'href="{deck.name}"' in index for deck in decks)


def test_without_notebooks_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no notebook"):
        write_slides([], tmp_path, images=tmp_path)
