"""Write the pictures into `img/`: `python -m closedloop.figures RUN`, a folder of a run."""

import sys
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from closedloop import paths
from closedloop.figures.architectures import in_the_model, metrics_server
from closedloop.suite import SuiteError
from closedloop.suite.figures import figures_of, write_figures
from closedloop.suite.parameters import notebooks_in

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


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m closedloop.figures RUN\n")
        return 2
    try:
        written = write_pictures(Path(arguments[0]), paths.checkout_root() / "img")
    except SuiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for file in written:
        sys.stdout.write(f"{file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
