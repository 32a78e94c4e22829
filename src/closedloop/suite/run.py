"""A run of notebooks from start to end: platform up, notebooks, report, platform down."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from closedloop.platforms.protocol import Platform
from closedloop.suite import SuiteError
from closedloop.suite.bundle import write_bundle
from closedloop.suite.execute import execute
from closedloop.suite.figures import figures_of, write_figures
from closedloop.suite.html import page
from closedloop.suite.interrupts import INTERRUPTED, Interruption, handled
from closedloop.suite.junit import junit
from closedloop.suite.outcome import Outcome
from closedloop.suite.progress import line
from closedloop.suite.report import Report
from closedloop.suite.results import results, varying
from closedloop.suite.setup import install_everything
from closedloop.suite.summary import beside, summary
from closedloop.suite.watch import Watch

BUNDLE = "bundle.tar.gz"
_LOG_LINES = 400  # saved of each part when something failed


@dataclass(frozen=True, slots=True)
class Plan:
    """The notebooks of a run; `parameters` are by their stem, `folder` is made and must be new.

    `again` are those that run once more at the end, by the name that they have then.
    A `talkative` run has a line for each wait and each text that a cell prints.
    `junit` and `summary` are files to write beside the report; `pictures` is the
    address at which the figures of the summary will be published.
    """

    platform: str
    notebooks: Sequence[Path]
    parameters: Mapping[str, Mapping[str, Any]]
    folder: Path
    keep: bool = False
    talkative: bool = False
    junit: Path | None = None
    summary: Path | None = None
    pictures: str = ""
    again: Mapping[str, Path] = field(default_factory=dict)

    @property
    def runs(self) -> dict[str, Path]:
        """Each run of a notebook by its name, in order."""
        return {notebook.stem: notebook for notebook in self.notebooks} | dict(self.again)


class Run:
    """One run. `open_platform` finds or starts the platform that the plan names."""

    def __init__(
        self,
        plan: Plan,
        open_platform: Callable[[str], Platform],
        *,
        console: Console,
        errors: Console,
    ) -> None:
        self.plan = plan
        self._open = open_platform
        self._console, self._errors = console, errors
        self._interruption = Interruption()
        self._report = Report(plan.platform, datetime.now().astimezone())
        self._report.parameters = {k: dict(v) for k, v in plan.parameters.items() if v}

    def __call__(self) -> int:
        """Do it; returns 0 if every notebook ran to its end, 130 if interrupted, else 1."""
        begun = time.monotonic()
        _make(self.plan.folder)
        for file in filter(None, (self.plan.junit, self.plan.summary)):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.open("a").close()  # one that cannot be written is said before anything runs
        try:
            with handled(self._interruption):
                watch = Watch(self.plan.folder)
                self._say(f"watch: {(self.plan.folder / 'index.html').as_uri()}")
                self._run_on_platform(watch)
        except KeyboardInterrupt:
            self._interruption.happened = True
        self._complete(begun)
        if self._interruption.happened:
            self._errors.print("interrupted: everything that was started is stopped")
            return INTERRUPTED
        return 0 if self._report.ok else 1

    def _run_on_platform(self, watch: Watch) -> None:
        platform: Platform | None = None
        ours = False
        try:
            found = self._open(self.plan.platform)
            ours = not found.status()  # one that was there before stays afterwards
            platform = found  # from here on it is to be looked at, and shut down if it is ours
            self._install(platform)
            self._run_notebooks(watch)
        except KeyboardInterrupt:
            self._interruption.happened = True
        except Exception as error:  # noqa: BLE001 - told to the user, with the report, by `trouble`
            self._trouble(error)
        finally:
            self._interruption.close()
            if platform is not None:
                self._inspect(platform)
                self._shut_down(platform, ours)

    def _install(self, platform: Platform) -> None:
        begun = time.monotonic()
        self._console.print(f"platform {self.plan.platform}", highlight=False)
        with self._console.status("") as status:

            def report(step: str, share: float | None = None) -> None:
                status.update(step if share is None else f"{step}, {share:.0%}")
                if not self._console.is_terminal:
                    self._console.print(f"  {step}", highlight=False, soft_wrap=True)

            install_everything(platform, report)
        took = time.monotonic() - begun
        self._console.print(f"[green]{'ready':<11}[/] platform {took:22.1f} s", highlight=False)

    def _run_notebooks(self, watch: Watch) -> None:
        stopped = False
        for name, notebook in self.plan.runs.items():
            if stopped:
                outcome = Outcome(name, "not run")
            else:
                outcome = execute(
                    notebook,
                    self.plan.folder / f"{name}.ipynb",
                    self.plan.parameters.get(name, {}),
                    console=self._console,
                    log=self.plan.folder / "kernels.log",
                    watch=watch,
                    talkative=self.plan.talkative,
                    running=self._interruption.running,
                    interrupted=lambda: self._interruption.happened,
                )
                stopped = outcome.state != "ok"
            self._report.outcomes.append(outcome)
            self._console.print(line(outcome), highlight=False)
            if outcome.failure is not None:
                text = outcome.failure.text(outcome.notebook)
                (self.plan.folder / "failure.txt").write_text(text + "\n", encoding="utf-8")
                self._errors.print(text, markup=False, highlight=False, soft_wrap=True)

    def _inspect(self, platform: Platform) -> None:
        """Keep the platform's state while it is up, and its logs when something went wrong."""
        try:
            self._report.parts = platform.status()
        except Exception as error:  # noqa: BLE001 - the platform must still be shut down
            self._trouble(error)
        if self._report.ok and not self._interruption.happened:
            return
        try:
            folder = self.plan.folder / "logs"
            folder.mkdir(exist_ok=True)
            for part in self._report.parts:
                text = _log(platform, part.part)
                self._report.logs[part.part] = text
                (folder / f"{part.part.replace('/', '_')}.log").write_text(text, encoding="utf-8")
        except Exception as error:  # noqa: BLE001 - the bundle is wanted all the more
            self._trouble(error)
        self._bundle(platform)

    def _bundle(self, platform: Platform) -> None:
        try:
            write_bundle(platform, self.plan.folder / BUNDLE, self.plan.folder)
        except Exception as error:  # noqa: BLE001 - the platform must still be shut down
            self._trouble(error)

    def _shut_down(self, platform: Platform, ours: bool) -> None:
        if self.plan.keep and not self._interruption.happened:
            self._console.print("the platform stays up; `closedloop down` removes it")
            for part in self._report.parts:
                if part.url:
                    self._console.print(f"  {part.part:<40} {part.url}", highlight=False)
        elif not ours:
            self._console.print("the platform was up before and stays up")
        else:
            try:
                platform.down()
            except Exception as error:  # noqa: BLE001 - the report must still be written
                self._trouble(error)

    def _complete(self, begun: float) -> None:
        """Write pages, figures and the report of the notebooks that ran."""
        known = {outcome.notebook for outcome in self._report.outcomes}
        self._report.outcomes += [
            Outcome(name, "not run") for name in self.plan.runs if name not in known
        ]
        folder = self.plan.folder
        for name, notebook in self.plan.runs.items():
            executed = folder / f"{name}.ipynb"
            if not executed.exists():
                continue
            html = page(executed, notebook.parent, folder)
            executed.with_suffix(".html").write_text(html, encoding="utf-8")
            self._report.figures[name] = figures_of(executed)
            self._report.results[name] = results(executed)
            self._report.varies[name] = varying(executed)
        figures = [figure for each in self._report.figures.values() for figure in each]
        write_figures(figures, folder / "figures")
        self._report.seconds = time.monotonic() - begun
        (folder / "index.html").write_text(self._report.html(), encoding="utf-8")
        (folder / "run.json").write_text(self._report.json(), encoding="utf-8")
        if self.plan.junit is not None:
            self.plan.junit.write_text(junit(self._report), encoding="utf-8")
        if self.plan.summary is not None:
            pictures = self.plan.pictures or beside(self.plan.summary, folder / "figures")
            with self.plan.summary.open("a", encoding="utf-8") as file:  # others write there, too
                file.write(summary(self._report, pictures))
        self._console.print(f"report: {folder / 'index.html'}", highlight=False, soft_wrap=True)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _trouble(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self._report.trouble = "\n".join(filter(None, (self._report.trouble, text)))
        self._errors.print(text, markup=False, highlight=False, soft_wrap=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SuiteError(f"{folder} cannot be made: {error.strerror}: name another") from None
    if any(folder.iterdir()):
        raise SuiteError(f"{folder} is not empty: name another folder, or remove it")


def _log(platform: Platform, part: str) -> str:
    try:
        return platform.logs(part, _LOG_LINES)
    except Exception as error:  # noqa: BLE001 - the other parts' logs are wanted all the more
        return f"no log: {error}"
