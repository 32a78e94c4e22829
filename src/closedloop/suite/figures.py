"""The pictures of an executed notebook, each with a name and a caption."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from closedloop.suite.progress import heading
from closedloop.suite.tags import FIGURE


@dataclass(frozen=True, slots=True)
class Figure:
    """A PNG picture; `name` is without suffix, `caption` is the heading above it.

    `tagged` is whether its cell names it.
    """

    name: str
    caption: str
    png: bytes
    tagged: bool = False

    @property
    def data_url(self) -> str:
        """For the `src` of an `img`."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def figures_of(executed: Path) -> list[Figure]:
    """All PNG outputs, in order.

    A cell tagged `figure-<name>` names its picture, with the word behind the name of a notebook
    that ran again; others are called after the notebook and the heading. Names that come again
    get a number.
    """
    _, hyphen, again = executed.stem.partition("-")
    cells = nbformat.read(executed, as_version=4).cells
    found: list[Figure] = []
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png")
            if png is None:
                continue
            caption = heading(cells, index)
            tagged = [tag for tag in cell.metadata.get("tags", []) if tag.startswith(FIGURE)]
            name = f"{executed.stem}-{_slug(caption)}"
            if tagged:
                name = f"{tagged[0].removeprefix(FIGURE)}{hyphen}{again}"
            found.append(Figure(_unused(name, found), caption, base64.b64decode(png), bool(tagged)))
    return found


def write_figures(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write each as `<name>.png`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for figure in figures:
        file = folder / f"{figure.name}.png"
        file.write_bytes(figure.png)
        files.append(file)
    return files


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "figure"


def _unused(name: str, figures: Sequence[Figure]) -> str:
    taken = {figure.name for figure in figures}
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
