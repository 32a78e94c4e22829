from pathlib import Path

import pytest

from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import Walkthrough

pytestmark = [pytest.mark.embedded, pytest.mark.notebook, pytest.mark.timeout(900)]


def test_all_in_order(tmp_path: Path) -> None:
    recorded = Walkthrough(tmp_path).run()
    assert list(recorded) == list(EXPECTED)
    for number, check in EXPECTED.items():
        check(recorded[number])
