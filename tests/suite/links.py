"""Links of a folder of pages."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Links(HTMLParser):
    """The targets that a page names, and the places in it that can be one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.to: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.places.add(named.get("id") or "")
        self.to += [named[name] or "" for name in ("href", "src") if name in named]


def broken(folder: Path) -> list[str]:
    """Each link of a page below `folder` to a file or place of it that is not there."""
    pages = {file: _Links(file.read_text(encoding="utf-8")) for file in folder.rglob("*.html")}
    found = []
    for file, page in pages.items():
        for link in page.to:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # data, or a page of others
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            known = pages.get(target)
            places = {parts.fragment, unquote(parts.fragment)}  # browsers try both, in this order
            if not target.is_file() or (known and any(places) and not places & known.places):
                found.append(f"{file.relative_to(folder)}: {link}")
    return found
