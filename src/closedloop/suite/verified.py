"""The page of a verification: two runs side by side, and the tests of the cluster."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from closedloop.suite import SuiteError
from closedloop.suite.same import compare, pairs

_HEAD = """\
# Verified

Written by `scripts/test --platform cluster --same RUN --page FILE`, never by hand: what ran on \
one machine and on a cluster, and the numbers of both."""


@dataclass
class Tested:
    """The tests of a cluster, from pytest's report: outcomes by file, and figures."""

    passed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)  # by file and reason
    failed: list[str] = field(default_factory=list)
    figures: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    seconds: float = 0.0


def read_tests(report: Path) -> Tested:
    """pytest's `--junitxml`. Raises `SuiteError`."""
    try:
        suites = ElementTree.parse(report).getroot()  # noqa: S314  # our own pytest wrote it
    except (OSError, ElementTree.ParseError) as error:
        raise SuiteError(f"{report}: {error}: name the file of --junitxml") from None
    tested = Tested(seconds=sum(float(each.get("time", 0)) for each in suites.iter("testsuite")))
    for case in suites.iter("testcase"):
        file = case.get("classname", "").replace(".", "/")
        name = f"{file}: {case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            tested.failed.append(name)
        elif skip is not None:
            reason = f"{file}: {skip.get('message')}"
            tested.skipped[reason] = tested.skipped.get(reason, 0) + 1
        else:
            tested.passed[file] = tested.passed.get(file, 0) + 1
        figures = {each.get("name", ""): each.get("value", "") for each in case.iter("property")}
        if figures:
            tested.figures.append((str(case.get("name")), figures))
    return tested


def page(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    tested: Tested | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Markdown about two runs, the second on the cluster. `notes` name the things not covered."""
    faults = len(compare(first, second).faults)
    verdict = "All numbers are the same." if not faults else f"**{faults} values differ.**"
    days = [f"On {run['platform']}: {_day(run)}." for run in (first, second)]
    parts = [
        _HEAD,
        " ".join([*days, verdict]),
        "## Versions",
        *(_versions(run) for run in (first, second)),
        "## Notebooks, in seconds",
        _table(["notebook", first["platform"], second["platform"]], _durations(first, second)),
        "## Numbers",
        "Where two values may differ, the last column says why.",
        _table(
            ["recorded", first["platform"], second["platform"], ""],
            (
                [where, _shown(one), _shown(other), why]
                for where, one, other, why in pairs(first, second)
            ),
        ),
    ]
    if tested is not None:
        parts += ["## Tests of the cluster", *_tests(tested)]
    skipped = [
        f"{reason} ({count})" for reason, count in (tested.skipped if tested else {}).items()
    ]
    if notes or skipped:
        parts += ["## Not covered", "\n".join(f"- {each}" for each in [*notes, *skipped])]
    return "\n\n".join(parts) + "\n"


def _day(run: Mapping[str, Any]) -> str:
    return f"{str(run['started'])[:10]}, {run['seconds'] / 60:.0f} minutes"


def _versions(run: Mapping[str, Any]) -> str:
    """One line a namespace, or a part: its programs and their versions."""
    found: dict[str, list[str]] = {}
    for each in run.get("parts", ()):
        if each["version"]:
            namespace, _, name = each["part"].rpartition("/")
            found.setdefault(namespace, []).append(f"{name} {each['version']}")
    lines = [f"- {place + ': ' if place else ''}{', '.join(said)}" for place, said in found.items()]
    return f"On {run['platform']}:\n\n" + "\n".join(lines)


def _durations(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[list[str]]:
    seconds = [{each["notebook"]: each for each in run["notebooks"]} for run in (first, second)]
    for name in dict.fromkeys([*seconds[0], *seconds[1]]):
        yield [
            name,
            *(
                f"{run[name]['seconds']:.0f}{'' if run[name]['state'] == 'ok' else ', failed'}"
                if name in run
                else ""
                for run in seconds
            ),
        ]


def _tests(tested: Tested) -> Iterator[str]:
    yield f"{sum(tested.passed.values())} passed in {tested.seconds / 60:.0f} minutes."
    yield _table(["file", "passed"], ([file, str(n)] for file, n in tested.passed.items()))
    if tested.failed:
        yield "**Failed:**\n\n" + "\n".join(f"- {name}" for name in tested.failed)
    if tested.figures:
        names = list(dict.fromkeys(name for _, figures in tested.figures for name in figures))
        rows = ([test, *(figures.get(n, "") for n in names)] for test, figures in tested.figures)
        yield _table(["test", *names], rows)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
