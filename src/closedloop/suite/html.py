"""Executed notebooks as HTML files that need nothing beside them and no network.

The files that they show a part of are linked: those are pages in `files/` beside them.
"""

import base64
import mimetypes
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbconvert.exporters.exporter import Exporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, TagRemovePreprocessor
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from closedloop.suite.tags import slide_type

TEMPLATES = Path(__file__).parent / "templates"
FILES = "files"

_IMAGE = re.compile(r"""(?P<before><img [^>]*?src=)"(?P<to>(?!data:|https?:)[^"]+)\"""")
_LINK = re.compile(r"""(?P<before><a [^>]*?)href=(?P<quote>["'])(?P<to>\.\./[^"'#?]+)(?P=quote)""")
# JupyterLab sets everything in an output in the font of text, with a rule that comes later
# than any in the output and is as strong: these are stronger.
_STYLE = """
.jp-OutputArea .jp-OutputArea-output .highlight,
.jp-OutputArea .jp-OutputArea-output .highlight pre,
.jp-OutputArea .jp-OutputArea-output .highlight pre span {
  font-family: var(--jp-code-font-family); font-size: var(--jp-code-font-size); }
.jp-OutputArea .jp-OutputArea-output pre { word-break: normal; overflow-wrap: anywhere; }
.closedloop-ways { padding: 1em; font-family: var(--jp-ui-font-family); }
.jp-OutputArea .closedloop-file { margin: 0 .4em; font-size: .8em; }
"""


def page(executed: Path, images: Path, folder: Path, head: str = "") -> str:
    """The HTML of an executed notebook, to be written into `folder`; speaker notes are left out.

    `head` is HTML that goes above it. Pictures and files that it names are
    looked for from the folder `images`; the files are written to `files/` in
    `folder`.
    """
    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        preprocessors=preprocessors(),
    )
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if slide_type(cell) != "notes"]
    return render(exporter, notebook, executed.stem, images, folder, head)


def render(
    exporter: Exporter,
    notebook: nbformat.NotebookNode,
    title: str,
    images: Path,
    folder: Path,
    head: str = "",
) -> str:
    """A notebook through an exporter of nbconvert, pictures that are files embedded."""
    resources: dict[str, Any] = {
        "metadata": {"name": title, "path": str(images)},
        "closedloop_style": _STYLE,
        "closedloop_head": head,
    }
    exported, _ = exporter.from_notebook_node(notebook, resources=resources)
    # Not `embed_images`, by which nbconvert takes no picture from outside the notebook's folder.
    body = _IMAGE.sub(lambda image: _embedded(image, images), str(exported))
    return _LINK.sub(lambda link: _to_a_page(link, images, folder), body)


def preprocessors(leave_out: Collection[str] = ()) -> list[Any]:
    """Leaves out the cells tagged so, and the code of those tagged `hide-input`.

    Text that was printed piece by piece is joined.
    """
    hide = TagRemovePreprocessor(
        remove_input_tags={"hide-input"}, remove_cell_tags=set(leave_out), enabled=True
    )
    return [hide, CoalesceStreamsPreprocessor(enabled=True)]


def _embedded(image: re.Match[str], base: Path) -> str:
    """The picture inside its element; as it was if there is no such file."""
    file = base / image["to"]
    if not file.is_file():
        return image[0]
    kind = mimetypes.guess_type(file.name)[0] or "image/png"
    return f'{image["before"]}"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"'


def _to_a_page(link: re.Match[str], base: Path, folder: Path) -> str:
    """The link led to a page of its file; without a target if there is no such file."""
    file = base / link["to"]
    if not file.is_file():
        return link["before"]
    place = Path(FILES, *(step for step in Path(link["to"]).parts if step != ".."))
    target = (folder / place).with_name(f"{place.name}.html")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        lexer = get_lexer_for_filename(file.name)
    except ClassNotFound:
        lexer = TextLexer()
    formatter = HtmlFormatter(full=True, title=file.name, linenos="inline", wrapcode=True)
    target.write_text(highlight(file.read_text(encoding="utf-8"), lexer, formatter), "utf-8")
    return f'{link["before"]}href="{place.as_posix()}.html"'
