"""Which notebooks there are, and which of them were asked for."""

import re
from collections.abc import Sequence
from pathlib import Path

from closedloop.suite import SuiteError

# One that ran again has a word behind its name.
_NUMBERED = re.compile(r"\d\d_\w+(-\w+)?\.ipynb")


def notebooks_in(folder: Path) -> list[Path]:
    """The numbered notebooks of a folder, in order. Raises `SuiteError` if there is none."""
    numbered = (path for path in folder.glob("*.ipynb") if _NUMBERED.fullmatch(path.name))
    found = sorted(numbered, key=lambda path: path.stem)
    if not found:
        raise SuiteError(f"{folder} holds no notebook named like 01_platform.ipynb: name another")
    return found


def chosen(notebooks: Sequence[Path], only: Sequence[str]) -> list[Path]:
    """Those whose number or name is in `only`, in their order; all when it is empty.

    Raises `SuiteError` for one that names none.
    """
    for name in only:
        if not any(_is(notebook, name) for notebook in notebooks):
            known = ", ".join(notebook.stem for notebook in notebooks)
            raise SuiteError(f"there is no notebook {name!r}: known are {known}")
    if not only:
        return list(notebooks)
    return [notebook for notebook in notebooks if any(_is(notebook, name) for name in only)]


def _is(notebook: Path, name: str) -> bool:
    number, _, title = notebook.stem.partition("_")
    return name.removesuffix(".ipynb") in {
        number,
        number.lstrip("0"),
        title,
        notebook.stem,
    }
