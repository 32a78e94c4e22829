"""Executed notebooks as HTML files that need nothing beside them and no network."""

from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbconvert.exporters.exporter import Exporter
from nbconvert.preprocessors import TagRemovePreprocessor

TEMPLATES = Path(__file__).parent / "templates"


def page(executed: Path, images: Path) -> str:
    """The HTML of an executed notebook; pictures it names are looked for in the folder `images`."""
    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        embed_images=True,
        preprocessors=[hide_input()],
    )
    return render(exporter, nbformat.read(executed, as_version=4), executed.stem, images)


def render(exporter: Exporter, notebook: nbformat.NotebookNode, title: str, images: Path) -> str:
    """A notebook through an exporter of nbconvert, pictures that are files embedded."""
    resources: dict[str, Any] = {"metadata": {"name": title, "path": str(images)}}
    body, _ = exporter.from_notebook_node(notebook, resources=resources)
    return str(body)


def hide_input() -> TagRemovePreprocessor:
    """Leaves out the code of cells tagged so."""
    return TagRemovePreprocessor(remove_input_tags={"hide-input"}, enabled=True)
