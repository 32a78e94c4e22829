"""Write the pictures into `img/`: `python -m closedloop.figures RUN`, a folder of a run."""

import sys
from pathlib import Path

from closedloop import paths
from closedloop.figures.pictures import write_pictures
from closedloop.suite import SuiteError


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
