"""The part of a manifest or of a source file that matters, as its own lines."""

import ast
import textwrap
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import yaml

import closedloop
from closedloop.paths import manifests_folder

# The keys by one of which an item of a list is named.
_NAMES = ("name", "alert", "record")


_GONE = "\0"  # a line of a value that an ellipsis stands for


def manifest_file(name: str) -> Path:
    """The file of a manifest, named by its path under `manifests/`."""
    return manifests_folder() / name


def manifest(name: str, path: str = "", fold: Collection[str] = ()) -> str:
    """The lines of a manifest that `path` leads to, as `of_yaml` says; such as `spec/template`."""
    text = manifest_file(name).read_text(encoding="utf-8")
    return of_yaml(text, path.split("/") if path else (), fold)


def module_file(name: str) -> Path:
    """A source file, named by its path in this package."""
    return Path(closedloop.__file__).parent / name


def module(name: str, member: str = "") -> str:
    """The lines of a source file that define `member`, as `of_python` says."""
    return of_python(module_file(name).read_text(encoding="utf-8"), member)


def of_yaml(text: str, path: Sequence[str] = (), fold: Collection[str] = ()) -> str:
    """The lines of a YAML document that `path` leads to, with their comments.

    A step is a key of a mapping, or the `name`, `alert` or `record` of an item
    of a list. Of keys in `fold` an ellipsis stands for the value. Raises
    ValueError, naming the step that leads nowhere.
    """
    node = yaml.compose(text)
    if node is None:
        raise ValueError("there is nothing in it")
    first, column = 0, 0
    for step in path:
        start, node = _step(node, step)
        first, column = start.line, start.column
    lines = text.splitlines()
    for key, value in _folded(node, fold):
        line = lines[key.start_mark.line]
        end = _end(value)
        lines[key.start_mark.line : end] = [
            f"{line[: key.end_mark.column]}: …",
            *[_GONE] * (end - key.start_mark.line - 1),
        ]
    chosen = [line for line in lines[first : _end(node)] if line is not _GONE]
    while chosen and (not chosen[-1].strip() or chosen[-1].lstrip().startswith("#")):
        chosen.pop()  # it belongs to the key that follows
    return "\n".join([chosen[0][column:], *(_shifted(line, column) for line in chosen[1:])])


def of_python(text: str, name: str = "") -> str:
    """The lines of a class or a function, such as `Class.method`; the whole text without `name`.

    Raises ValueError if there is none of that name.
    """
    if not name:
        return text
    node: ast.AST = ast.parse(text)
    for step in name.split("."):
        named = {
            each.name: each
            for each in ast.iter_child_nodes(node)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        if step not in named:
            raise ValueError(f"there is no {step!r} in {name!r}: name one of {', '.join(named)}")
        node = named[step]
    assert isinstance(node, ast.stmt)
    return textwrap.dedent("\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno]))


def _step(node: yaml.Node, step: str) -> tuple[yaml.Mark, yaml.Node]:
    """Where the key or item of that name begins, and its value."""
    known = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark, value
            known.append(key.value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            named = {key.value: value.value for key, value in item.value if key.value in _NAMES}
            if step in named.values():
                return item.start_mark, item
            known += named.values()
    raise ValueError(f"there is no {step!r}: name one of {', '.join(known)}")


def _folded(node: yaml.Node, keys: Collection[str]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Each key in `keys` at or below a node, with its value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in keys:
                yield key, value
            else:
                yield from _folded(value, keys)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _folded(item, keys)


def _end(node: yaml.Node) -> int:
    """The line after the last one of a value."""
    if isinstance(node, yaml.ScalarNode):
        block = node.style in {"|", ">"}
    else:
        assert isinstance(node, yaml.CollectionNode)
        block = not node.flow_style
    return int(node.end_mark.line) + (0 if block else 1)


def _shifted(line: str, columns: int) -> str:
    return line[columns:] if not line[:columns].strip() else line.lstrip()
