"""`scripts/slowest REPORT`: where the time of a test run went, as Markdown."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

COUNT = 25


def table(report: Path) -> str:
    """The files, then the tests, that took longest, from pytest's `--junitxml`."""
    seconds: dict[str, float] = {}
    files: dict[str, float] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # our own pytest wrote it
        file = case.get("classname", "").replace(".", "/")
        took = float(case.get("time", 0))
        seconds[f"{file}: {case.get('name')}"] = took
        files[file] = files.get(file, 0.0) + took
    return "\n".join([*_rows("File", files), "", *_rows("Test", seconds)]) + "\n"


def _rows(head: str, seconds: Mapping[str, float]) -> Iterator[str]:
    yield f"| {head} | Seconds |"
    yield "|---|---:|"
    for name, took in sorted(seconds.items(), key=lambda one: -one[1])[:COUNT]:
        shown = name.replace("|", "\\|")
        yield f"| {shown} | {took:.1f} |"


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1])))
