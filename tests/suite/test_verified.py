from pathlib import Path
from typing import Any

import pytest

from closedloop.suite import SuiteError
from closedloop.suite.verified import page, read_tests

REPORT = """<testsuites><testsuite time="90.0">
<testcase classname="tests.a.test_x" name="test_one[part]">
<properties><property name="sent" value="288"/><property name="events lost" value="1"/></properties>
</testcase>
<testcase classname="tests.a.test_x" name="test_two"/>
<testcase classname="tests.test_y" name="test_three"><skipped message="no cluster"/></testcase>
<testcase classname="tests.test_y" name="test_four"><failure message="no"/></testcase>
</testsuite></testsuites>"""


def run(platform: str, **results: Any) -> dict[str, Any]:
    return {
        "platform": platform,
        "started": "2026-11-27T11:00:00+00:00",
        "seconds": 360.0,
        "notebooks": [{"notebook": "03_a", "state": "ok", "seconds": 21.4}],
        "results": {"03_a": results},
        "varies": {"03_a": {"started": "a time"}},
        "parts": [{"part": "seldon-logs/elasticsearch", "version": "9.5.2"}],
    }


def test_both_runs_stand_side_by_side() -> None:
    numbers = {"accuracy": 46 / 63, "started": 1}
    text = page(run("embedded", **numbers), run("cluster", **numbers))
    assert "On cluster: 2026-11-27, 6 minutes. All numbers are the same." in text
    assert "| 03_a | 21 | 21 |" in text
    assert "| 03_a: accuracy | 0.730159 | 0.730159 |  |" in text
    assert "| 03_a: started | 1 | 1 | a time |" in text
    assert "- seldon-logs: elasticsearch 9.5.2" in text
    assert "Not covered" not in text


def test_a_difference_is_told_at_the_top() -> None:
    text = page(run("embedded", n=1), run("cluster", n=2))
    assert "**1 values differ.**" in text


def test_tests_figures_and_what_was_not_covered(tmp_path: Path) -> None:
    (tmp_path / "tests.xml").write_text(REPORT)
    both = run("embedded"), run("cluster")
    text = page(*both, read_tests(tmp_path / "tests.xml"), ["several nodes"])
    assert "2 passed in 2 minutes." in text
    assert "| tests/a/test_x | 2 |" in text
    assert "| test_one[part] | 288 | 1 |" in text
    assert "- tests/test_y: test_four" in text
    assert text.endswith("- several nodes\n- tests/test_y: no cluster (1)\n")


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="--junitxml"):
        read_tests(tmp_path / "none.xml")
