"""`python3 -m tests.found FOLDER`: the finding of a run of CI in sentences, in Markdown.

`FOLDER` has a folder for each artefact of the run, with JUnit XML somewhere in it. Standard
library only: it runs before anything is installed.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

SHOWN = 5  # failures of an artefact that are named


@dataclass
class Finding:
    """The cases of one artefact: how many passed, and the failed ones with their reasons."""

    name: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """One line: the artefact, its counts, and the first failures."""
        if not self.passed and not self.failed:
            return f"- **{self.name}**: no test was reported."
        counts = f"{self.passed} passed, {len(self.failed)} failed"
        if not self.failed:
            return f"- **{self.name}**: {counts}."
        more = len(self.failed) - SHOWN
        shown = "; ".join(self.failed[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"- **{self.name}**: {counts}: {shown}."


def findings(folder: Path) -> Iterator[Finding]:
    """A finding for each artefact, in the order of their names."""
    for artefact in sorted(each for each in folder.iterdir() if each.is_dir()):
        finding = Finding(artefact.name)
        for report in sorted(artefact.rglob("*.xml")):
            for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # our own CI's
                _add(finding, case)
        yield finding


def _add(finding: Finding, case: ElementTree.Element) -> None:
    fault = next((one for one in case if one.tag in {"failure", "error"}), None)
    if fault is not None:
        said = (fault.get("message") or fault.text or "").strip().partition("\n")[0]
        text = f"{case.get('classname')}: {case.get('name')} ({said[:200]})"
        finding.failed.append("`" + text.replace("`", "'") + "`")
    elif case.find("skipped") is None:
        finding.passed += 1


def comment(workflow: str, url: str, found: list[Finding]) -> str:
    """The whole comment: good or bad at its beginning, a line for each artefact after it."""
    good = bool(found) and all(one.passed and not one.failed for one in found)
    verdict = "the suite ran to its end with it" if good else "the suite failed with it"
    lines = [one.sentence() for one in found] or ["- no report was kept: see the run."]
    return "\n".join([f"[{workflow}]({url}): {verdict}.", "", *lines, ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workflow", required=True)
    parser.add_argument("--url", required=True)
    asked = parser.parse_args()
    sys.stdout.write(comment(asked.workflow, asked.url, list(findings(asked.folder))))
