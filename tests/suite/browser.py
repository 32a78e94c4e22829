"""Pages as a browser renders them."""

from pathlib import Path

from playwright.sync_api import Browser

PROPORTIONAL = ("system-ui", "sans-serif", "Arial")

_FONTS = """() => Object.fromEntries(
  [["input", ".jp-InputArea .highlight span"], ["output", ".jp-OutputArea .highlight span"]].map(
    ([name, selector]) => [name, getComputedStyle(document.querySelector(selector)).fontFamily]))"""


def fonts(browser: Browser, file: Path) -> dict[str, str]:
    """The font families of a word in a cell's code and in a file that it shows.

    The page must ask for no other file than itself.
    """
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    found: dict[str, str] = page.evaluate(_FONTS)
    page.close()
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    return found
