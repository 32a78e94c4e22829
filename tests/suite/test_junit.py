from xml.etree import ElementTree

from closedloop.platforms.protocol import PartStatus
from closedloop.suite.junit import junit
from closedloop.suite.outcome import Failure, Outcome
from closedloop.suite.report import Report
from tests.junit_schema import SCHEMA
from tests.suite.test_report import STARTED

FAILURE = Failure(
    7, "03-07", "assert 1 < 0", "so far \x1b & <b>", "AssertionError\n\x00", "AssertionError: no"
)


def written(report: Report) -> ElementTree.Element:
    """The document, which its schema takes."""
    text = junit(report)
    SCHEMA.validate(text)
    return ElementTree.fromstring(text)  # noqa: S314 - our own


def test_one_case_a_notebook() -> None:
    report = Report("embedded", STARTED, seconds=70.5)
    report.outcomes = [
        Outcome("01_platform", "ok", 12.3456, 5, 5),
        Outcome("03_metrics", "failed", 4.5, 7, 20, FAILURE),
        Outcome("04_live", "not run"),
        Outcome("05_model", "interrupted", 1.0, 1, 9),
    ]
    report.parts = [PartStatus("envoy", "1.40.0", "ready")]
    root = written(report)
    (suite,) = root
    assert suite.attrib["name"] == "closedloop embedded"
    for each in (root, suite):
        assert (each.attrib["tests"], each.attrib["failures"]) == ("4", "1")
        assert (each.attrib["errors"], each.attrib["time"]) == ("0", "70.500")
    assert suite.attrib["skipped"] == "2"
    assert {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")} == {
        "platform": "embedded",
        "envoy": "1.40.0",
    }
    cases = {case.attrib["name"]: case for case in suite.iter("testcase")}
    assert list(cases) == [outcome.notebook for outcome in report.outcomes]
    assert (len(cases["01_platform"]), cases["01_platform"].attrib["time"]) == (0, "12.346")
    assert [one.tag for one in cases["04_live"]] == ["skipped"]
    assert [one.tag for one in cases["05_model"]] == ["skipped"]


def test_the_failing_cell_and_its_error_are_in_the_case() -> None:
    report = Report("cluster", STARTED, outcomes=[Outcome("03_a", "failed", 1, 7, 20, FAILURE)])
    (case,) = written(report).iter("testcase")
    assert case.attrib["classname"] == "closedloop.cluster"
    failure, out = case
    assert failure.attrib == {"message": "AssertionError: no", "type": "AssertionError"}
    text = failure.text or ""
    for part in ("cell 7 (03-07)", "assert 1 < 0", "so far \ufffd & <b>", "AssertionError"):
        assert part in text
    assert (out.tag, out.text) == ("system-out", "so far \ufffd & <b>")


def test_trouble_with_the_platform_is_a_case_of_its_own() -> None:
    report = Report("embedded", STARTED, outcomes=[Outcome("01_a", "not run")])
    report.trouble = "seldon-core does not start\nsee its log"
    root = written(report)
    assert (root.attrib["tests"], root.attrib["errors"]) == ("2", "1")
    _, platform = root.iter("testcase")
    assert platform.attrib["name"] == "platform"
    (error,) = platform
    assert error.attrib["message"] == "seldon-core does not start"
    assert error.text == report.trouble
