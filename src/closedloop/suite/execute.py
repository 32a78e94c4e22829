"""Run one notebook through papermill."""

import base64
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import papermill
from rich.console import Console

from closedloop.suite.kernel import ENGINE, Kernel
from closedloop.suite.outcome import Outcome, State, failure_in
from closedloop.suite.progress import NotebookProgress
from closedloop.suite.watch import Watch, tags_of


def execute(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    *,
    console: Console,
    log: Path,
    watch: Watch,
    talkative: bool,
    running: Callable[[Callable[[], None] | None], None],
    interrupted: Callable[[], bool],
) -> Outcome:
    """Run `notebook` with `parameters` and write it with its outputs to `executed`, which names it.

    The working directory is the notebook's own folder. `watch` is told of each
    picture; if `talkative`, the console shows each wait and each printed line.
    `running` is called with the function that ends the kernel at once, before it starts, and
    with None when it has ended; the caller of that makes `interrupted` true.
    """
    with (
        tempfile.TemporaryDirectory(
            prefix="closedloop-run-", ignore_cleanup_errors=True
        ) as scratch,
        NotebookProgress(console, executed.stem, talkative=talkative) as progress,
    ):
        kernel = Kernel(Path(scratch), log, notebook.parent)

        def on_cell(manager: Any, index: int) -> None:
            if interrupted():  # before there was a process to kill
                raise RuntimeError("interrupted")
            progress.on_cell(manager, index)

        def on_output(cell: Any, media_type: str, content: str) -> None:
            if media_type == "image/png":
                if said := watch.picture(tags_of(cell), base64.b64decode(content)):
                    progress.say(said)
            elif talkative:
                progress.say(content.rstrip("\n"))

        running(kernel.kill)
        error: Exception | None = None
        try:
            with warnings.catch_warnings():
                # papermill's and its dependencies' own, about which a reader can do nothing.
                warnings.simplefilter("ignore")
                papermill.execute_notebook(
                    notebook,
                    executed,
                    dict(parameters),
                    engine_name=ENGINE,
                    kernel_name="python3",
                    language="python",
                    progress_bar=progress.bar,
                    kernel=kernel,
                    on_cell=on_cell,
                    on_output=on_output,
                )
        except Exception as raised:  # noqa: BLE001 - whatever ends a notebook is its outcome
            error = raised
        finally:
            kernel.kill()
            running(None)
        state: State = "ok" if error is None else "interrupted" if interrupted() else "failed"
        failure = failure_in(executed, error, progress.cells) if error is not None else None
        return Outcome(
            executed.stem,
            state,
            progress.seconds,
            progress.cells,
            progress.total,
            failure if state == "failed" else None,
        )
