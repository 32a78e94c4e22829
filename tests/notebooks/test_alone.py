from pathlib import Path

import pytest

from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS, Walkthrough

pytestmark = [pytest.mark.embedded, pytest.mark.notebook, pytest.mark.timeout(900)]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_alone_and_twice(notebook: Path, tmp_path: Path) -> None:
    walkthrough = Walkthrough(tmp_path)
    number = notebook.name[:2]
    try:
        for _ in range(2):
            recorded = walkthrough.run("--only", number, "--keep")
            EXPECTED[number](recorded[number])
    finally:
        walkthrough.call("down")
