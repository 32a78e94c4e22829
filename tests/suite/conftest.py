from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from closedloop.suite import SuiteError
from closedloop.suite.pdf import chromium


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium, as it is installed here."""
    try:
        with chromium() as opened:
            yield opened
    except SuiteError as error:
        pytest.skip(str(error))
