"""Decks as PDF files, printed by Chromium through playwright: both as a reader has them."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from closedloop.suite import SuiteError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Asked for `print-pdf`, reveal.js makes a page of each slide, and says so by an event that bubbles.
_LISTEN = "window.laidOut = new Promise(done => addEventListener('pdf-ready', () => done(true)))"


def write_pdfs(decks: Sequence[Path]) -> list[Path]:
    """Print each deck beside it as `<name>.pdf`; returns the files. Raises `SuiteError`."""
    files = []
    with chromium() as browser:
        for deck in decks:
            file = deck.with_name(f"{deck.name.removesuffix('.html').removesuffix('.slides')}.pdf")
            page = browser.new_page()
            page.add_init_script(_LISTEN)
            page.goto(f"{deck.absolute().as_uri()}?print-pdf")
            page.wait_for_function("window.laidOut")
            page.pdf(path=file, prefer_css_page_size=True, print_background=True)
            page.close()
            files.append(file)
    return files


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Chromium or Chrome: that on PATH, else playwright's own. Raises `SuiteError` without one."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        raise SuiteError(
            "playwright is not installed: install closedloop with its extra `pdf`"
        ) from None
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        # The one of two that it starts lies beside the other, each deep in a folder of its own.
        brought = next(each.parent for each in own.parents if each.name.startswith("chromium"))
        try:
            # A launch of none leaves two empty folders.
            if not found and not any(brought.glob("chromium*")):
                raise Error(f"there is none in {brought}")
            browser = playwright.chromium.launch(executable_path=found)
        except Error as error:
            raise SuiteError(
                f"{found or 'Chromium'} does not start: {error.message.splitlines()[0]}:"
                " install Chromium or Chrome, or run `playwright install chromium`"
            ) from None
        try:
            yield browser
        finally:
            browser.close()
