import os
from pathlib import Path

import nbformat
import pytest

from closedloop.suite.tags import slide_type
from tests.junit_schema import SCHEMA
from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS, Walkthrough
from tests.suite.links import broken

pytestmark = [pytest.mark.embedded, pytest.mark.notebook, pytest.mark.timeout(900)]

# Where CI wants the run, to keep it; else it goes with the test's folder.
KEPT = os.environ.get("CLOSEDLOOP_TEST_RUN")


# A notebook that is told its own parameters is not run once more with those of again.yaml, which
# on a push proves the same of other rows.
_ONCE = ("-p", "name", "disease-progression")


def test_all_in_order(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    nightly = pytestconfig.option.nightly
    expected = {name: check for name, check in EXPECTED.items() if nightly or "-" not in name}
    out = Path(KEPT) if KEPT else tmp_path / "run"
    files = ["--junit", str(tmp_path / "run.xml"), "--summary", str(tmp_path / "summary.md")]
    walkthrough = Walkthrough(tmp_path)
    try:
        recorded = walkthrough.run(*files, *(() if nightly else _ONCE), out=out)
    finally:
        if (tmp_path / "summary.md").exists() and out.is_dir():
            (out / "summary.md").write_text((tmp_path / "summary.md").read_text())
    assert list(recorded) == list(expected)
    for number, check in expected.items():
        check(recorded[number])
    SCHEMA.validate(str(tmp_path / "run.xml"))
    written = (tmp_path / "run.xml").read_text()
    assert [f'name="{notebook.stem}"' in written for notebook in NOTEBOOKS] == [True] * len(
        NOTEBOOKS
    )
    walkthrough.call("site", str(out), "--out", str(tmp_path / "site"))
    assert broken(tmp_path / "site") == []
    assert [each for executed in sorted(out.glob("*.ipynb")) for each in _bare(executed)] == []


def _bare(executed: Path) -> list[str]:
    """The cells on slides whose last line shows a value as Python writes it."""
    return [
        f"{executed.stem}, cell {cell.id}: {output.data['text/plain']}"
        for cell in nbformat.read(executed, as_version=4).cells
        if cell.cell_type == "code" and slide_type(cell) != "skip"
        for output in cell.outputs
        if output.output_type == "execute_result" and output.data.keys() == {"text/plain"}
    ]
