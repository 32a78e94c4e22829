"""A run as JUnit XML, which CI servers read: one case a notebook."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from closedloop.suite.outcome import Outcome
from closedloop.suite.report import Report

# Characters that XML 1.0 cannot hold, even escaped.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SKIPPED = {
    "not run": "not run: the run ended before it",
    "interrupted": "interrupted",
}


def junit(report: Report) -> str:
    """The run as a `testsuites` document.

    A failed notebook is a failure with its cell's source, output and error; one
    that was interrupted or not run is skipped. Trouble outside the notebooks is
    one more case, `platform`, with an error.
    """
    cases = [_case(outcome, report) for outcome in report.outcomes]
    if report.trouble:
        cases.append(_trouble(report))
    totals = {
        "tests": str(len(cases)),
        "failures": _having("failure", cases),
        "errors": _having("error", cases),
        "time": f"{report.seconds:.3f}",
    }
    root = Element("testsuites", {"name": "closedloop", **totals})
    about = {
        "name": f"closedloop {report.platform}",
        "timestamp": report.started.isoformat(timespec="seconds"),
        "skipped": _having("skipped", cases),
    }
    suite = SubElement(root, "testsuite", {**about, **totals})
    properties = SubElement(suite, "properties")
    SubElement(properties, "property", name="platform", value=report.platform)
    for part in report.parts:
        if part.version:
            SubElement(properties, "property", name=part.part, value=part.version)
    suite.extend(cases)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(outcome: Outcome, report: Report) -> Element:
    case = Element(
        "testcase",
        classname=f"closedloop.{report.platform}",
        name=outcome.notebook,
        time=f"{outcome.seconds:.3f}",
    )
    if failure := outcome.failure:
        told = {"message": failure.summary, "type": failure.summary.partition(":")[0]}
        _add(case, "failure", failure.text(outcome.notebook), **told)
        if failure.streams:
            _add(case, "system-out", failure.streams)
    elif outcome.state in _SKIPPED:
        _add(case, "skipped", message=_SKIPPED[outcome.state])
    return case


def _trouble(report: Report) -> Element:
    case = Element("testcase", classname=f"closedloop.{report.platform}", name="platform", time="0")
    _add(case, "error", report.trouble, message=report.trouble.splitlines()[0], type="platform")
    return case


def _add(case: Element, name: str, text: str = "", **attributes: str) -> None:
    said = {key: _UNSPEAKABLE.sub("\ufffd", value) for key, value in attributes.items()}
    SubElement(case, name, said).text = _UNSPEAKABLE.sub("\ufffd", text) or None


def _having(name: str, cases: Sequence[Element]) -> str:
    return str(sum(case.find(name) is not None for case in cases))
