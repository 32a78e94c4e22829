"""The rules that every committed notebook keeps, checked without running it.

`python -m closedloop.suite.contract FILE …` prints the faults of notebook files.
"""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import nbformat

from closedloop.notebook import excerpts
from closedloop.suite.parameters import declared
from closedloop.suite.tags import INJECTED, SLIDE_TYPES, TAGS, known, slide_type

LONGEST = 15  # lines of code in a cell, and on a slide with the files that it shows
_SHOWN: Mapping[str, Callable[..., str]] = {"show": excerpts.manifest, "source": excerpts.module}
_PLATFORMS = {"embedded", "cluster"}


def faults(path: Path) -> list[str]:
    """One sentence for each place where a notebook file breaks the contract; empty if none."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.ValidationError, ValueError, OSError) as error:
        return [f"{path.name}: not a valid notebook: {str(error).splitlines()[0]}"]
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not code or "parameters" not in code[0].metadata.get("tags", []):
        found.append(f"{path.name}: its first code cell is not tagged parameters: tag it")
    for cell in notebook.cells:
        found += [f"{path.name}, cell {cell.get('id', '?')}: {fault}" for fault in _faults(cell)]
    for slide in _slides(notebook.cells):
        where = f"{path.name}, the slide from cell {slide[0].get('id', '?')} on"
        found += [f"{where}: {fault}" for fault in _slide_faults(slide)]
    return found


def _faults(cell: nbformat.NotebookNode) -> Iterator[str]:
    tags = cell.metadata.get("tags", [])
    for tag in tags:
        if not known(tag):
            hint = " (papermill adds it when it runs)" if tag == INJECTED else ""
            yield f"the tag {tag!r} is not one of {', '.join(TAGS)}, figure-<name>{hint}: remove it"
    kind = slide_type(cell)
    if kind not in SLIDE_TYPES:
        yield f"the slide type {kind!r} is not one of {', '.join(SLIDE_TYPES)}: change it"
    if cell.cell_type != "code":
        return
    if cell.outputs or cell.execution_count is not None:
        yield "it has outputs: clear them before committing"
    lines = len(cell.source.splitlines())
    if lines > LONGEST:
        yield f"it has {lines} lines: split it, {LONGEST} are the limit"
    if "parameters" in tags:
        try:
            declared(cell.source)
        except ValueError as error:
            yield f"{error}: write it so"
        return
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        yield f"it is not plain Python: {error.msg}: write it without magics"
        return
    yield from _sleeps(tree)
    yield from _branches(tree)
    match tree.body:
        case [*_, ast.Expr(ast.Name() | ast.Attribute() | ast.Subscript() | ast.Dict())]:
            yield "its last line shows a bare value: use table, as_yaml or print"


def _slides(cells: Sequence[nbformat.NotebookNode]) -> list[list[nbformat.NotebookNode]]:
    slides: list[list[nbformat.NotebookNode]] = []
    for cell in cells:
        if slide_type(cell) in {"slide", "subslide"} or not slides:
            slides.append([])
        slides[-1].append(cell)
    return slides


def _slide_faults(slide: Sequence[nbformat.NotebookNode]) -> Iterator[str]:
    """A slide with code has speaker notes, and no more lines than are read from the last row."""
    try:
        lines = sum(_lines_on_a_slide(cell) for cell in slide)
    except (ValueError, OSError, SyntaxError) as error:
        yield f"it shows a file, or the part of one, that cannot be found: {error}"
        return
    if lines > LONGEST:
        yield (
            f"it has {lines} lines of code and of shown files, {LONGEST} are the limit:"
            " show a part of the file, begin a subslide, or skip a cell"
        )
    if lines and not any(slide_type(cell) == "notes" for cell in slide):
        yield "it has code and no speaker notes: add a cell of the slide type notes"


def _lines_on_a_slide(cell: nbformat.NotebookNode) -> int:
    tags = cell.metadata.get("tags", [])
    if cell.cell_type != "code" or slide_type(cell) == "skip" or "parameters" in tags:
        return 0
    own = 0 if "hide-input" in tags else len(cell.source.splitlines())
    return own + sum(_lines_shown(cell.source))


def _lines_shown(source: str) -> Iterator[int]:
    """The number of lines of each file that a cell shows by `show` or `source`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Name("show" | "source" as name), args, keywords):
                given = [ast.literal_eval(each) for each in args]
                named = {str(each.arg): ast.literal_eval(each.value) for each in keywords}
                yield len(_SHOWN[name](*given, **named).splitlines())


def _sleeps(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="sleep") | ast.Name(id="sleep"):
                yield f"line {node.lineno} sleeps: wait for a condition with `until`"


def _branches(tree: ast.AST) -> Iterator[str]:
    """`platform` may only be passed to `connect`, and nothing is compared with a platform's name.

    Any other use is a way to do one thing here and another there.
    """
    passed = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "connect"
        for argument in node.args
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.MatchValue):
            continue
        used = isinstance(node, ast.Name) and node.id == "platform" and id(node) not in passed
        compared = isinstance(node, ast.Compare | ast.MatchValue) and any(
            isinstance(part, ast.Constant) and part.value in _PLATFORMS for part in ast.walk(node)
        )
        if used or compared:
            yield f"line {node.lineno} depends on the platform: only `connect` may know it"


if __name__ == "__main__":
    all_faults = [fault for name in sys.argv[1:] for fault in faults(Path(name))]
    sys.stderr.writelines(f"{fault}\n" for fault in all_faults)
    sys.exit(bool(all_faults))
