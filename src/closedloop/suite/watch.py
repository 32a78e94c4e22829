"""A run as it goes on: its pictures when they are drawn, and a page that shows the newest."""

import html
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat

from closedloop.suite.tags import FIGURE

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<title>closedloop, running</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; }}
  img {{ max-width: 100%; }}
</style>
</head>
<body>
<h1>closedloop</h1>
<p>{said}</p>
{pictures}
</body>
</html>
"""


class Watch:
    """The page `index.html` of a run's folder until the report replaces it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = time.monotonic()
        self._names: list[str] = []
        self._write("The run goes on; the first picture is yet to be drawn.")

    def picture(self, tags: Sequence[str], png: bytes) -> str:
        """Keep a picture that a cell with these tags has drawn; returns a line if it is new.

        One that no tag `figure-<name>` names waits for the report.
        """
        names = [tag.removeprefix(FIGURE) for tag in tags if tag.startswith(FIGURE)]
        if not names:
            return ""
        file = self._folder / "figures" / f"{names[0]}.png"
        file.parent.mkdir(exist_ok=True)
        partial = file.with_suffix(".partial")  # a browser may look in between
        partial.write_bytes(png)
        partial.replace(file)
        if names[0] not in self._names:
            self._names.append(names[0])
            self._write("The run goes on; pictures are drawn anew every other second.")
            return f"picture after {time.monotonic() - self._begun:.0f} s: {file}"
        return ""

    def _write(self, said: str) -> None:
        pictures = "\n".join(
            f'<p><img src="figures/{html.escape(name)}.png" alt="{html.escape(name)}"></p>'
            for name in reversed(self._names)
        )
        page = _PAGE.format(said=said, pictures=pictures)
        (self._folder / "index.html").write_text(page, encoding="utf-8")


def tags_of(cell: nbformat.NotebookNode) -> list[str]:
    """The tags of a notebook's cell."""
    return list(cell.metadata.get("tags", []))
