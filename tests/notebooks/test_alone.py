"""A notebook that runs alone, and again on the platform that it left.

On a push the test of the wheel does so with the first notebook.
"""

from pathlib import Path

import pytest

from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS, Walkthrough

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.notebook,
    pytest.mark.nightly,
    pytest.mark.timeout(900),
]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_alone_and_twice(notebook: Path, tmp_path: Path) -> None:
    walkthrough = Walkthrough(tmp_path)
    number = notebook.name[:2]
    try:
        for _ in range(2):
            recorded = walkthrough.run("--only", number, "--keep")
            assert number in recorded
            for each, values in recorded.items():
                EXPECTED[each](values)
    finally:
        walkthrough.call("down")
