"""The executed notebooks of a run as a small static site, as a project puts it on its pages."""

import html
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert.filters import markdown2html

from closedloop import __version__
from closedloop.suite import SuiteError
from closedloop.suite.figures import Figure, figures_of, write_figures
from closedloop.suite.html import TEMPLATES, page
from closedloop.suite.parameters import notebooks_in
from closedloop.suite.progress import heading
from closedloop.suite.same import read
from closedloop.suite.slides import write_slides


@dataclass(frozen=True, slots=True)
class _Chapter:
    """An executed notebook as the site has it; `about` is the HTML of its first paragraph."""

    stem: str
    title: str
    about: str
    state: str
    figures: Sequence[Figure]


def write_site(run: Path, folder: Path, originals: Path) -> Path:
    """Write the site of a run into a new folder; returns its first page.

    `originals` is the folder of the notebooks, from which they name pictures
    and files. Raises `SuiteError` if `run` is no folder of a run, or if
    something is in `folder` already.
    """
    about = read(run)
    if folder.is_dir() and any(folder.iterdir()):
        raise SuiteError(f"{folder} is not empty: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    executed = notebooks_in(run)
    states = {each["notebook"]: each["state"] for each in about["notebooks"]}
    chapters = [_chapter(notebook, states.get(notebook.stem, "not run")) for notebook in executed]
    for place, notebook in enumerate(executed):
        text = page(notebook, originals, folder, head=_ways(chapters, place))
        (folder / f"{notebook.stem}.html").write_text(text, encoding="utf-8")
        shutil.copyfile(notebook, folder / notebook.name)
    write_figures([each for one in chapters for each in one.figures], folder / "figures")
    write_slides(executed, folder / "slides", images=originals)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    index = folder / "index.html"
    text = environment.get_template("site.html.j2").render(
        run=about, chapters=chapters, versions=_versions(about)
    )
    index.write_text(text, encoding="utf-8")
    return index


def _chapter(executed: Path, state: str) -> _Chapter:
    cells = nbformat.read(executed, as_version=4).cells
    first = next((cell.source for cell in cells if cell.cell_type == "markdown"), "")
    paragraph = next((part for part in first.split("\n\n") if part[:1].isalnum()), "")
    about = markdown2html(paragraph)
    _, _, again = executed.stem.partition("-")  # of one that ran once more
    title = heading(cells, 0) + (f" ({again})" if again else "")
    return _Chapter(executed.stem, title, about, state, figures_of(executed))


def _ways(chapters: Sequence[_Chapter], place: int) -> str:
    """Links from the page of a chapter to those around it."""
    ways = ['<a href="index.html">All notebooks</a>']
    for step, arrow in ((-1, "← {}"), (1, "{} →")):
        if 0 <= place + step < len(chapters):
            to = chapters[place + step]
            ways.append(f'<a href="{to.stem}.html">{html.escape(arrow.format(to.title))}</a>')
    return f'<nav class="closedloop-ways">{" · ".join(ways)}</nav>'


def _versions(run: dict[str, Any]) -> dict[str, str]:
    """The version of each part that has one."""
    parts = {each["part"]: each["version"] for each in run["parts"] if each["version"]}
    return {"closedloop": __version__, **parts}
