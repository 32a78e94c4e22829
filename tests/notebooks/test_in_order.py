import os
from pathlib import Path

import pytest

from tests.junit_schema import SCHEMA
from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS, Walkthrough

pytestmark = [pytest.mark.embedded, pytest.mark.notebook, pytest.mark.timeout(900)]

# Where CI wants the run, to keep it; else it goes with the test's folder.
KEPT = os.environ.get("CLOSEDLOOP_TEST_RUN")


def test_all_in_order(tmp_path: Path) -> None:
    out = Path(KEPT) if KEPT else tmp_path / "run"
    files = ["--junit", str(tmp_path / "run.xml"), "--summary", str(tmp_path / "summary.md")]
    try:
        recorded = Walkthrough(tmp_path).run(*files, out=out)
    finally:
        if (tmp_path / "summary.md").exists() and out.is_dir():
            (out / "summary.md").write_text((tmp_path / "summary.md").read_text())
    assert list(recorded) == list(EXPECTED)
    for number, check in EXPECTED.items():
        check(recorded[number])
    SCHEMA.validate(str(tmp_path / "run.xml"))
    written = (tmp_path / "run.xml").read_text()
    assert [f'name="{notebook.stem}"' in written for notebook in NOTEBOOKS] == [True] * len(
        NOTEBOOKS
    )
