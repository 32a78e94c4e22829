from datetime import UTC, datetime

from closedloop.platforms.protocol import PartStatus
from closedloop.suite.figures import Figure
from closedloop.suite.outcome import Failure, Outcome
from closedloop.suite.report import Report

STARTED = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


def test_what_a_reader_finds() -> None:
    report = Report("embedded", STARTED, seconds=12.34)
    report.outcomes = [Outcome("03_metrics", "ok", 4.5, 20, 20)]
    report.parameters = {"03_metrics": {"total": 100}}
    report.results = {"03_metrics": {"accuracy": 46 / 63, "matrix": [["a", 1]]}}
    report.figures = {"03_metrics": [Figure("pies", "Two pies", b"\x89PNG")]}
    report.parts = [PartStatus("envoy", "1.40.0", "ready", "http://127.0.0.1:8003")]
    page = report.html()
    for text in (
        "Every notebook ran to its end",
        "2026-05-01 12:30:00",
        '<a href="03_metrics.html">',
        "total = 100",
        "0.730159",
        "[[&#34;a&#34;, 1]]",
        "<figcaption>Two pies",
        "data:image/png;base64,iVBORw==",
        "1.40.0",
    ):
        assert text in page
    for absent in ("<script", "<link", 'src="http', "failed</h2>", "<h2>Logs"):
        assert absent not in page


def test_a_failure_with_its_cell_and_the_logs() -> None:
    report = Report("embedded", STARTED)
    failure = Failure(7, "03-07", "assert 1 < 0", "so far", "AssertionError", "AssertionError: ")
    report.outcomes = [Outcome("03_metrics", "failed", 1, 7, 20, failure)]
    report.logs = {"envoy": "<bad> config"}
    page = report.html()
    for text in ("Not everything ran", "03-07", "assert 1 &lt; 0", "so far", "&lt;bad&gt; config"):
        assert text in page


def test_what_does_not_run_is_no_success() -> None:
    assert Report("embedded", STARTED, outcomes=[Outcome("a", "ok")]).ok
    assert not Report("embedded", STARTED, outcomes=[Outcome("a", "not run")]).ok
    assert not Report("embedded", STARTED, trouble="a part failed").ok
