"""The notebooks that were asked for, and values for the parameters of their first code cells."""

import ast
import io
import re
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from closedloop.suite import SuiteError

# One that ran again has a word behind its name.
_NUMBERED = re.compile(r"\d\d_\w+(-\w+)?\.ipynb")


def notebooks_in(folder: Path) -> list[Path]:
    """The numbered notebooks of a folder, in order. Raises `SuiteError` if there is none."""
    numbered = (path for path in folder.glob("*.ipynb") if _NUMBERED.fullmatch(path.name))
    found = sorted(numbered, key=lambda path: path.stem)
    if not found:
        raise SuiteError(f"{folder} holds no notebook named like 01_platform.ipynb: name another")
    return found


def chosen(notebooks: Sequence[Path], only: Sequence[str]) -> list[Path]:
    """Those whose number or name is in `only`, in their order; all when it is empty.

    Raises `SuiteError` for one that names none.
    """
    for name in only:
        if not any(_is(notebook, name) for notebook in notebooks):
            known = ", ".join(notebook.stem for notebook in notebooks)
            raise SuiteError(f"there is no notebook {name!r}: known are {known}")
    if not only:
        return list(notebooks)
    return [notebook for notebook in notebooks if any(_is(notebook, name) for name in only)]


def _is(notebook: Path, name: str) -> bool:
    number, _, title = notebook.stem.partition("_")
    return name.removesuffix(".ipynb") in {
        number,
        number.lstrip("0"),
        title,
        notebook.stem,
    }


@dataclass(frozen=True, slots=True)
class Parameter:
    """One `name = default  # comment` of the cell tagged `parameters`."""

    name: str
    default: Any
    comment: str


def declared(source: str) -> list[Parameter]:
    """The parameters in the source of a parameters cell.

    Raises ValueError naming the line that is not `name = literal  # comment`.
    """
    found = []
    for number, line in enumerate(source.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(_parameter(line))
        except (SyntaxError, ValueError):
            raise ValueError(
                f"line {number} is not `name = value  # comment`: {line.strip()}"
            ) from None
    return found


def parameters_of(notebook: Path) -> dict[str, Parameter]:
    """The parameters of a notebook file, by name; none if no cell is tagged for them."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            try:
                return {parameter.name: parameter for parameter in declared(cell.source)}
            except ValueError as error:
                raise SuiteError(f"{notebook.name}: in the parameters cell {error}") from None
    return {}


def assign(
    notebooks: Sequence[Path],
    given: Mapping[str, str],
    *,
    platform: str,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """The values to inject into each notebook, by the notebook's stem.

    `given` holds texts for parameters by name, for every chosen notebook that
    has one of that name; they take the type of its default. `defaults` holds
    values by stem and name, and `platform` goes to all that have that
    parameter. Raises `SuiteError` for a name that no chosen notebook has and
    for a text that is not of the type.
    """
    declarations = {notebook.stem: parameters_of(notebook) for notebook in notebooks}
    known = {name for parameters in declarations.values() for name in parameters}
    for name in given:
        if name not in known:
            raise SuiteError(
                f"there is no parameter {name!r} in {', '.join(declarations)}: "
                f"known are {', '.join(sorted(known)) or 'none'}"
            )
    values: dict[str, dict[str, Any]] = {}
    for stem, parameters in declarations.items():
        mine = {"platform": platform} if "platform" in parameters else {}
        mine |= _checked(stem, (defaults or {}).get(stem, {}), parameters)
        mine |= {
            name: _typed(name, text, parameters[name].default)
            for name, text in given.items()
            if name in parameters
        }
        values[stem] = mine
    return values


def assign_again(
    notebooks: Sequence[Path],
    given: Mapping[str, str],
    values: Mapping[str, Mapping[str, Any]],
    again: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Notebooks that run once more with other `values`, by the name that they then have.

    `again` holds, by stem, what is appended to the name, and parameters; where one of these is
    `given` the notebook runs as it was asked to and not once more. Raises `SuiteError` for a
    parameter that the notebook does not have.
    """
    return {
        f"{notebook.stem}-{name}": (
            notebook,
            {**values[notebook.stem], **_checked(notebook.stem, mine, parameters_of(notebook))},
        )
        for notebook in notebooks
        for name, mine in again.get(notebook.stem, {}).items()
        if not mine.keys() & given.keys()
    }


def read_defaults(path: Path) -> dict[str, dict[str, Any]]:
    """Read a YAML file of parameters: notebook stem, then name, then value."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SuiteError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise SuiteError(f"{path} must map the names of notebooks to their parameters")
    return {str(stem): dict(values) for stem, values in content.items()}


def _parameter(line: str) -> Parameter:
    (statement,) = ast.parse(line).body
    tokens = tokenize.generate_tokens(io.StringIO(line).readline)
    comment = "".join(token.string for token in tokens if token.type == tokenize.COMMENT)
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if comment.strip("# "):
            return Parameter(name, ast.literal_eval(value), comment.lstrip("# "))
    raise ValueError(line)


def _checked(
    stem: str, values: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> dict[str, Any]:
    for name in values:
        if name not in parameters:
            raise SuiteError(
                f"the notebook {stem} has no parameter {name!r}: "
                f"known are {', '.join(sorted(parameters)) or 'none'}"
            )
    return dict(values)


def _typed(name: str, text: str, default: Any) -> Any:
    """The text as a value of the default's type."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int | float):
            return type(default)(text)
        if isinstance(default, str):
            return text
        value = ast.literal_eval(text)
        if default is not None and not isinstance(value, type(default)):
            raise ValueError(text)
    except (KeyError, ValueError, SyntaxError):
        kind = "true or false" if isinstance(default, bool) else type(default).__name__
        raise SuiteError(
            f"the parameter {name} is {text!r}: give {kind}, like its default {default!r}"
        ) from None
    return value
