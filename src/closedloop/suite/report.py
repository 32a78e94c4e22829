"""The report of a run: one HTML file that needs nothing beside it, and the same as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from closedloop.platforms.protocol import PartStatus
from closedloop.suite.figures import Figure
from closedloop.suite.outcome import Outcome

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(slots=True)
class Report:
    """Everything that the report shows.

    `varies` names the results that may differ from run to run, and why;
    `logs` are the last lines of each part, saved when something failed; `trouble`
    is the failure outside a notebook, if there was one.
    """

    platform: str
    started: datetime
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    varies: dict[str, dict[str, str]] = field(default_factory=dict)
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    parts: Sequence[PartStatus] = ()
    logs: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every notebook ran to its end and nothing else went wrong."""
        return not self.trouble and all(outcome.state == "ok" for outcome in self.outcomes)

    def html(self) -> str:
        """The report as one page. Links are relative to the run's folder."""
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["value"] = _shown
        return environment.get_template("report.html.j2").render(report=self)

    def json(self) -> str:
        """The run as data for other programs, without pictures and logs."""
        return json.dumps(
            {
                "platform": self.platform,
                "started": self.started.isoformat(),
                "seconds": round(self.seconds, 3),
                "ok": self.ok,
                "trouble": self.trouble,
                "notebooks": [asdict(outcome) for outcome in self.outcomes],
                "parameters": self.parameters,
                "results": self.results,
                "varies": {notebook: names for notebook, names in self.varies.items() if names},
                "parts": [asdict(part) for part in self.parts],
            },
            indent=1,
        )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
