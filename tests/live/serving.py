"""The page of a world, served in a thread, and a real browser to look at it."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from closedloop.live.server import PageServer
from closedloop.live.world import World

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def served(world: World) -> Iterator[str]:
    """The URL of the world's page."""
    made = threading.Event()
    servers: list[PageServer] = []

    def run() -> None:
        servers.append(PageServer(world))
        made.set()
        servers[0].run()

    thread = threading.Thread(target=run)
    thread.start()
    assert made.wait(60)
    try:
        yield servers[0].url
    finally:
        servers[0].stop()
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A real Chromium without a window; skips where none is installed."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(_BROWSERS)} is on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
