"""Run one notebook through papermill."""

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


def execute(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    *,
    console: Console,
    log: Path,
    running: Callable[[Callable[[], None] | None], None],
    interrupted: Callable[[], bool],
) -> Outcome:
    """Run `notebook` with `parameters` and write it with its outputs to `executed`.

    The working directory is the notebook's own folder. `running` is called with what
    ends the kernel at once, before it starts, and with None when it has ended; who
    calls that makes `interrupted` true.
    """
    with (
        tempfile.TemporaryDirectory(
            prefix="closedloop-run-", ignore_cleanup_errors=True
        ) as scratch,
        NotebookProgress(console, notebook.stem) as progress,
    ):
        kernel = Kernel(Path(scratch), log, notebook.parent)

        def on_cell(manager: Any, index: int) -> None:
            if interrupted():  # before there was a process to kill
                raise RuntimeError("interrupted")
            progress.on_cell(manager, index)

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
                )
        except Exception as raised:  # noqa: BLE001 - whatever ends a notebook is its outcome
            error = raised
        finally:
            kernel.kill()
            running(None)
        state: State = "ok" if error is None else "interrupted" if interrupted() else "failed"
        failure = failure_in(executed, error, progress.cells) if error is not None else None
        return Outcome(
            notebook.stem,
            state,
            progress.seconds,
            progress.cells,
            progress.total,
            failure if state == "failed" else None,
        )
