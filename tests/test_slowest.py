from pathlib import Path

from tests.slowest import table


def test_files_and_tests_that_took_longest_come_first(tmp_path: Path) -> None:
    cases = [("tests.a", "one", 1), ("tests.b", "two|x", 2.5), ("tests.a", "three", 2)]
    lines = "".join(
        f'<testcase classname="{file}" name="{name}" time="{time}"/>' for file, name, time in cases
    )
    report = tmp_path / "tests.xml"
    report.write_text(f"<testsuites><testsuite>{lines}</testsuite></testsuites>")
    rows = [line for line in table(report).splitlines() if line.endswith(tuple("0123456789 |"))]
    assert [row for row in rows if "tests/" in row] == [
        "| tests/a | 3.0 |",
        "| tests/b | 2.5 |",
        "| tests/b: two\\|x | 2.5 |",
        "| tests/a: three | 2.0 |",
        "| tests/a: one | 1.0 |",
    ]
