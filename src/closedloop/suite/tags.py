"""The tags and slide types that cells of our notebooks may have, each with its effect."""

from nbformat import NotebookNode

TAGS = {
    "parameters": "the first code cell: one `name = value  # comment` a line",
    "hide-input": "report and slides leave the code out and keep its output",
}
INJECTED = "injected-parameters"  # papermill's own; only executed notebooks have it
FIGURE = "figure-"  # `figure-<name>`: the cell's picture is kept as `<name>.png`

SLIDE_TYPES = {
    "slide": "begins a slide",
    "subslide": "begins a slide below the one before",
    "fragment": "appears on its slide when asked to",
    "notes": "speaker notes",
    "skip": "not on the slides",
    "-": "goes on with the slide before",
}


def slide_type(cell: NotebookNode) -> str:
    """The slide type of a cell."""
    return str(cell.metadata.get("slideshow", {}).get("slide_type", "-"))


def known(tag: str) -> bool:
    """Whether a committed notebook may carry the tag."""
    return tag in TAGS or (tag.startswith(FIGURE) and len(tag) > len(FIGURE))
