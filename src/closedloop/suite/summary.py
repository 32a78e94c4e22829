"""A run as Markdown for the page of a CI job: a table, failures, and the pictures."""

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from closedloop.suite.outcome import Outcome
from closedloop.suite.report import Report

_MARKS = {"ok": "✅", "failed": "❌", "interrupted": "⚠️", "not run": "⏭️"}
_LONGEST = 4000  # characters of a failure; a job's page has a limit, and the bundle has the rest


def summary(report: Report, pictures: str) -> str:
    """Markdown with a row a notebook, each failure, and each figure.

    `pictures` is the address, with a slash at its end, of the folder that holds
    the figures; where it is empty their captions are listed without them.
    """
    return "\n".join(_lines(report, pictures)) + "\n"


def beside(file: Path, figures: Path) -> str:
    """The address of the figures as links in `file` give it, or "" where none would reach them.

    A relative link reaches a folder beside the file or below; to go above, as from
    the file that GitHub names in GITHUB_STEP_SUMMARY, is of no use to a page.
    """
    relative = os.path.relpath(figures, file.parent)
    if relative.startswith(os.pardir):
        return ""
    return f"{quote(Path(relative).as_posix())}/"


def _lines(report: Report, pictures: str) -> Iterator[str]:
    ran = sum(outcome.state == "ok" for outcome in report.outcomes)
    yield f"## closedloop on {report.platform}: {ran} of {len(report.outcomes)} notebooks ran"
    yield ""
    yield f"{report.started:%Y-%m-%d %H:%M %Z}, {report.seconds:.0f} s."
    yield ""
    if report.trouble:
        yield from _fenced(report.trouble)
    yield "| Notebook | Result | Seconds | Cells |"
    yield "|---|---|---:|---:|"
    for outcome in report.outcomes:
        yield _row(outcome)
    yield ""
    for outcome in report.outcomes:
        if outcome.failure is not None:
            yield f"### {outcome.notebook} failed"
            yield ""
            yield from _fenced(outcome.failure.text(outcome.notebook)[:_LONGEST])
    figures = [figure for each in report.figures.values() for figure in each]
    if figures:
        yield f"<details{' open' if pictures else ''}><summary>{len(figures)} figures</summary>"
        yield ""
        for figure in figures:
            caption = html.escape(figure.caption)
            if pictures:
                source = html.escape(f"{pictures}{quote(figure.name)}.png")
                yield f'<p>{caption}<br><img src="{source}" alt="{caption}" width="640"></p>'
            else:
                yield f"- {caption}: `figures/{figure.name}.png`"
        yield ""
        yield "</details>"


def _row(outcome: Outcome) -> str:
    state = f"{_MARKS[outcome.state]} {outcome.state}"
    cells = f"{outcome.cells} of {outcome.total}" if outcome.total else ""
    seconds = f"{outcome.seconds:.1f}" if outcome.state != "not run" else ""
    return f"| {outcome.notebook} | {state} | {seconds} | {cells} |"


def _fenced(text: str) -> Iterator[str]:
    """A block of code whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield text
    yield fence
    yield ""
