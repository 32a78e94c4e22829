"""A presenter runs a cell on a slide, in the browser that shows it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser

from closedloop.notebook.waiting import until
from tests.ports import free_port
from tests.suite.fakes import notebook

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(300)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a JupyterLab on a folder with one notebook."""
    notebook(tmp_path / "shown" / "01_a.ipynb", parameters="print(6 * 7)")
    port = free_port()
    options = [f"--ServerApp.port={port}", "--IdentityProvider.token=", "--no-browser"]
    homes = dict.fromkeys(("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"), str(tmp_path))
    process = subprocess.Popen(
        [Path(sys.executable).with_name("jupyter"), "lab", *options, "--allow-root"],
        cwd=tmp_path / "shown",
        env={**os.environ, **homes, "IPYTHONDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: requests.get(f"{url}/api", timeout=5).ok, what="JupyterLab", timeout=120)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_a_cell_is_run_on_its_slide(server: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{server}/rise/01_a.ipynb")
    cell = page.locator(".reveal .jp-CodeCell .cm-content").first
    cell.wait_for(timeout=120_000)
    answer = page.locator(".jp-OutputArea-output", has_text="42")

    def run() -> bool:
        cell.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(2000)
        return answer.is_visible()

    # A cell that is run before its kernel is there has no answer.
    assert until(run, what="the answer on the slide", timeout=90)
