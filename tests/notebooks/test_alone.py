from pathlib import Path

import pytest

from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS, Walkthrough

pytestmark = [pytest.mark.embedded, pytest.mark.notebook, pytest.mark.timeout(900)]

# The quickest of those that read the log and of those that deploy models of their own.
_ON_A_PUSH = {"02", "05"}


@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(
            path, id=path.stem, marks=() if path.name[:2] in _ON_A_PUSH else pytest.mark.nightly
        )
        for path in NOTEBOOKS
    ],
)
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
