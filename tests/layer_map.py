"""The map of layers in CONTRIBUTING.md, drawn from `.importlinter` and the modules' docstrings.

`./scripts/map` writes it; a test compares.
"""

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser, SectionProxy
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- drawn by ./scripts/map -->", "<!-- end of the drawing -->"


def contracts(text: str) -> Iterator[SectionProxy]:
    """The layers contracts of an import-linter configuration, in its order."""
    parsed = ConfigParser(comment_prefixes=(";",))
    parsed.read_string(text)
    for name in parsed.sections():
        if parsed[name].get("type") == "layers":
            yield parsed[name]


def drawing(text: str, source: Path) -> str:
    """Every layers contract as a block of text, its highest layer first, one module a line.

    A bracket joins the modules of one layer: `┌ └` where neither may import the
    other, `╭ ╰` where they may. `source` is the folder that holds the package.
    Raises ValueError for a module that is not there, unless it is optional, in
    parentheses.
    """
    return "\n\n".join(_block(contract, source) for contract in contracts(text))


def put(page: str, drawn: str) -> str:
    """The page with what is between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{drawn}\n\n{END}{after}"


def _block(contract: SectionProxy, source: Path) -> str:
    """One contract: its name, and a drawing of each of its containers."""
    drawn = [f"{contract['name']}:", "", "```text"]
    layers = [line.strip() for line in contract["layers"].splitlines() if line.strip()]
    for container in contract.get("containers", "").split() or [""]:
        rows = [row for layer in layers for row in _rows(layer, container, source)]
        width = max(len(name) for _, name, _ in rows)
        drawn.append(container)
        drawn += [f"{bracket} {name:<{width}}  {said}".rstrip() for bracket, name, said in rows]
    return "\n".join([*drawn, "```"])


def _rows(layer: str, container: str, source: Path) -> list[tuple[str, str, str]]:
    """Bracket, name and docstring of each module of one layer."""
    found = []
    for optional, name in re.findall(r"(\()?([\w.]+)\)?", layer):
        said = _first_line(source.joinpath(*container.split("."), *name.split(".")))
        if said is not None:
            found.append((name, said))
        elif not optional:
            raise ValueError(f"{container} has no module {name}: correct .importlinter")
    first, between, last = "┌│└" if "|" in layer else "╭│╰"
    brackets = [first, *between * (len(found) - 2), last] if len(found) > 1 else [" "]
    return [(bracket, name, said) for bracket, (name, said) in zip(brackets, found, strict=False)]


def _first_line(folder: Path) -> str | None:
    for file in (folder / "__init__.py", folder.with_suffix(".py")):
        if file.is_file():
            said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            return said.splitlines()[0].rstrip(".") if said else ""
    return None


def main() -> None:
    """Draw the map anew."""
    page = ROOT / "CONTRIBUTING.md"
    drawn = drawing((ROOT / ".importlinter").read_text(encoding="utf-8"), ROOT / "src")
    page.write_text(put(page.read_text(encoding="utf-8"), drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
