"""`python -m closedloop.models.own FOLDER`: Seldon's wrapper around the model in a folder.

The folder holds `NAME.py` with a class NAME, as Seldon's wrapper takes it, or a
saved scikit-learn pipeline, `model.joblib`; the wrapper runs in that folder, so
that the class finds its files beside it. `--check` loads the model, serves
nothing, and ends with one sentence on standard error and status 1 where it cannot be served.
"""

import ast
import importlib
import os
import re
import sys
import warnings
from pathlib import Path

PIPELINE = "model.joblib"
OUTPUT = "output.yaml"
REQUIREMENTS = "requirements.txt"
_PIPELINE_CLASS = "closedloop.models.pipeline.Pipeline"
# One of them has a class of Seldon's wrapper.
_PREDICTS = ("predict", "predict_raw", "predict_rest")


_UNFIT = re.compile(r"[^a-z0-9]+")


class FolderError(Exception):
    """A folder that holds no model to serve; a sentence with the value and the remedy."""


def interface(folder: Path) -> str:
    """The class that serves the model of a folder, as `closedloop.models.serve` takes it.

    Nothing of the folder is run. Raises `FolderError`.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder} is no folder: name the one that holds your model")
    named = [path.stem for path in sorted(folder.glob("*.py")) if path.stem in _classes(path)]
    if len(named) > 1:
        raise FolderError(
            f"{folder} holds {len(named)} models, {', '.join(named)}: leave one file whose class"
            " has its name"
        )
    if named:
        return named[0]
    if (folder / PIPELINE).is_file():
        return _PIPELINE_CLASS
    raise FolderError(
        f"{folder} holds neither a file NAME.py with a class NAME nor {PIPELINE}: add one of them"
    )


def label(folder: Path) -> str:
    """The folder's name as Kubernetes takes one: small letters, digits and hyphens."""
    return _UNFIT.sub("-", folder.resolve().name.lower()).strip("-") or "model"


def check(name: str) -> None:
    """Load the class `name` and the model by it. Raises `FolderError`."""
    module, _, named = name.rpartition(".")
    try:
        made = getattr(importlib.import_module(module or named), named)()
        if callable(getattr(made, "load", None)):
            made.load()
    except FolderError:
        raise
    except ModuleNotFoundError as error:
        raise FolderError(
            f"the model needs {error.name}, which is not installed: name the package"
            f" that brings it in {REQUIREMENTS}"
        ) from None
    except Exception as error:  # noqa: BLE001  # the model's own, of any kind
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise FolderError(f"{named} cannot be made: {text}: correct it") from None
    if not any(callable(getattr(made, each, None)) for each in _PREDICTS):
        raise FolderError(f"the class {named} has no method predict: add it")


def _classes(path: Path) -> set[str]:
    """The names of the classes that a file defines, or has from elsewhere, by name."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise FolderError(f"{path}{line} is not Python: {said}: correct it") from None
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)} | {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def main() -> None:
    *options, folder = sys.argv[1:]
    place = Path(folder).resolve()
    try:
        name = interface(place)
        os.chdir(place)
        sys.path.insert(0, str(place))
        if "--check" in options:
            warnings.simplefilter("ignore")
            check(name)
            return
    except FolderError as error:
        sys.exit(str(error))
    # Imported here: a check needs nothing of the wrapper.
    from closedloop.models import serve

    sys.argv[1:] = [name]
    serve.main()


if __name__ == "__main__":
    main()
