"""reveal.js decks from the notebooks: each a single file that opens without a network.

Each opens in a speaker's view by the key S: the notes, the next slide, a clock.
reveal.js comes from the package `pyreveal`, which carries its files; nothing
else of that package is used.
"""

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter

from closedloop.suite import SuiteError
from closedloop.suite.html import TEMPLATES, preprocessors, render
from closedloop.suite.tags import INJECTED

_IMPORT = re.compile(r"@import\s*(url\()?[\"'][^\"']*[\"']\)?;?")


def write_slides(notebooks: Sequence[Path], folder: Path, images: Path) -> list[Path]:
    """Write a deck for each notebook, executed or not, and a page with links to them.

    `images` is the folder that pictures' paths in the notebooks are relative
    to. Returns the decks.
    """
    if not notebooks:
        raise SuiteError("there is no notebook to make slides of: run `closedloop run` first")
    folder.mkdir(parents=True, exist_ok=True)
    decks = []
    for notebook in notebooks:
        deck = folder / f"{notebook.stem}.slides.html"
        deck.write_text(_deck(notebook, images, folder), encoding="utf-8")
        decks.append(deck)
    links = "\n".join(f'<li><a href="{deck.name}">{deck.name}</a></li>' for deck in decks)
    (folder / "index.html").write_text(
        f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Slides</title>\n'
        f"<h1>Slides</h1>\n<ul>\n{links}\n</ul>\n</html>\n",
        encoding="utf-8",
    )
    return decks


def _deck(path: Path, images: Path, folder: Path) -> str:
    exporter = SlidesExporter(
        template_name="slides",
        extra_template_basedirs=[str(TEMPLATES)],
        preprocessors=preprocessors(leave_out=["parameters", INJECTED]),
    )
    exporter.register_filter("reveal", _reveal)
    return render(exporter, nbformat.read(path, as_version=4), path.stem, images, folder)


def _reveal(name: str) -> str:
    """A file of reveal.js as text that may stand inside an HTML element."""
    try:
        root = resources.files("pyreveal") / "revealjs" / "dist"
    except ModuleNotFoundError:
        raise SuiteError(
            "reveal.js is not installed: install closedloop with its extra `notebooks`"
        ) from None
    text = (root / name).read_text(encoding="utf-8")
    # The theme asks for web fonts; without a network a browser would wait for them.
    return _IMPORT.sub("", text).replace("</script", "<\\/script")
