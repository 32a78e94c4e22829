"""All pictures of README and notebooks: the diagrams, and the figures of an executed run."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from closedloop.figures.architectures import in_the_model, metrics_server
from closedloop.suite.choice import notebooks_in
from closedloop.suite.figures import figures_of, write_figures

# Under the names of the pictures that they replace.
DIAGRAMS: dict[str, Callable[[], Figure]] = {
    "custom-stateful": metrics_server,
    "standard-server": in_the_model,
}
_DPI = 110


def write_pictures(run: Path, folder: Path) -> list[Path]:
    """Write the diagrams, and each picture of a run whose cell is tagged `figure-<name>`.

    Pictures of notebooks that the run has not stay as they are. Returns the
    files. Raises `SuiteError` when the folder is no run.
    """
    tagged = [
        figure for notebook in notebooks_in(run) for figure in figures_of(notebook) if figure.tagged
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, draw in DIAGRAMS.items():
        file = folder / f"{name}.png"
        draw().savefig(file, dpi=_DPI)
        files.append(file)
    return files + write_figures(tagged, folder)
