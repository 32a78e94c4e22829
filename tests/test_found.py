import subprocess
import sys
from pathlib import Path

from closedloop.paths import checkout_root

PASSED = '<testcase classname="tests.a" name="one"/>'
SKIPPED = '<testcase classname="tests.a" name="two"><skipped/></testcase>'
FAILED = (
    '<testcase classname="tests.b" name="three"><failure message="assert 1 == `2`&#10;more"/>'
    "</testcase>"
)


def said(folder: Path, **cases: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    for artefact, text in cases.items():
        place = folder / artefact / "out"
        place.mkdir(parents=True)
        (place / "log.txt").write_text("no report")
        if text:
            suites = f"<testsuites><testsuite>{text}</testsuite></testsuites>"
            (place / "tests.xml").write_text(suites)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "tests.found", folder, "--workflow", "embedded", "--url", "u"],
        cwd=checkout_root(),
        capture_output=True,
        text=True,
        check=True,
    )
    head, _, *lines = done.stdout.splitlines()
    return [head, *lines]


def test_a_run_in_which_everything_passed(tmp_path: Path) -> None:
    assert said(tmp_path, a=PASSED + SKIPPED, b=PASSED * 2) == [
        "[embedded](u): the suite ran to its end with it.",
        "- **a**: 1 passed, 0 failed.",
        "- **b**: 2 passed, 0 failed.",
    ]


def test_failures_are_named_with_their_reason(tmp_path: Path) -> None:
    assert said(tmp_path, a=PASSED, b=FAILED * 7)[1:] == [
        "- **a**: 1 passed, 0 failed.",
        "- **b**: 0 passed, 7 failed: "
        + "; ".join(["`tests.b: three (assert 1 == '2')`"] * 5)
        + "; and 2 more.",
    ]


def test_a_run_without_a_report_is_no_good_one(tmp_path: Path) -> None:
    assert said(tmp_path, a=PASSED, b="")[0] == "[embedded](u): the suite failed with it."
    assert said(tmp_path / "none")[1:] == ["- no report was kept: see the run."]
