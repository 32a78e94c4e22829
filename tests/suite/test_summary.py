from pathlib import Path

import pytest

from closedloop.suite.figures import Figure
from closedloop.suite.outcome import Failure, Outcome
from closedloop.suite.report import Report
from closedloop.suite.summary import beside, summary
from tests.suite.test_report import STARTED


def report() -> Report:
    one = Report("embedded", STARTED, seconds=70.5)
    failure = Failure(7, "03-07", "print('```')", "", "ValueError", "ValueError: no")
    one.outcomes = [
        Outcome("02_a", "ok", 4.56, 20, 20),
        Outcome("03_b", "failed", 1, 7, 20, failure),
        Outcome("04_c", "not run"),
    ]
    one.figures = {"02_a": [Figure("two pies", "A <b> & c", b"\x89PNG")]}
    return one


def test_a_row_a_notebook_and_the_failure() -> None:
    page = summary(report(), "").splitlines()
    assert page[0] == "## closedloop on embedded: 1 of 3 notebooks ran"
    assert "| 02_a | ✅ ok | 4.6 | 20 of 20 |" in page
    assert "| 03_b | ❌ failed | 1.0 | 7 of 20 |" in page
    assert "| 04_c | ⏭️ not run |  |  |" in page
    # The fence is longer than the one in the cell.
    begins = page.index("````text")
    assert page[begins + 1] == "03_b failed in cell 7 (03-07): ValueError: no"
    assert "````" in page[begins + 2 :]


def test_pictures_are_shown_where_they_are_reached() -> None:
    shown = summary(report(), "https://pages.test/run/")
    assert '<img src="https://pages.test/run/two%20pies.png" alt="A &lt;b&gt; &amp; c"' in shown
    assert "<img" not in summary(report(), "")
    assert "- A &lt;b&gt; &amp; c: `figures/two pies.png`" in summary(report(), "")


def test_trouble_comes_first() -> None:
    one = report()
    one.trouble = "no Docker: start it"
    page = summary(one, "").splitlines()
    assert page.index("no Docker: start it") < page.index("| Notebook | Result | Seconds | Cells |")


@pytest.mark.parametrize(
    ("file", "address"),
    [
        ("out/run/summary.md", "figures/"),
        ("out/summary.md", "run/figures/"),
        ("summary.md", "out/run/figures/"),
        ("elsewhere/step_summary", ""),
    ],
)
def test_figures_are_reached_from_a_file_beside_or_above(
    tmp_path: Path, file: str, address: str
) -> None:
    assert beside(tmp_path / file, tmp_path / "out/run/figures") == address
