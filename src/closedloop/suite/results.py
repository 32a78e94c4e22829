"""Numbers that a notebook records for its readers outside: tests, the report, other programs.

`record` puts a name and a JSON value into the cell's output under a media type
of ours; the executed notebook file is the only store.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MEDIA_TYPE = "application/vnd.closedloop.result+json"


def record(name: str, value: object, *, varies: str = "") -> None:
    """Record `value` under `name`, and show both.

    `varies` says why two good runs may record different values; without it
    `closedloop same` takes a difference for a fault.

    The value must be JSON; tuples become lists, and numbers and arrays of
    numpy plain ones. Raises TypeError for anything else, ValueError for a
    number that JSON has not, such as NaN.
    """
    try:
        text = json.dumps(value, allow_nan=False, default=_plain)
    except ValueError as error:
        raise ValueError(f"the result {name!r} is {value!r}: record None instead") from error
    stored = json.loads(text)
    shown = f"{name}: {stored if isinstance(stored, str) else text}"
    result = {"name": name, "value": stored} | ({"varies": varies} if varies else {})
    _show({MEDIA_TYPE: result, "text/plain": shown})


def results(notebook: str | Path) -> dict[str, Any]:
    """The records of an executed notebook, by name; the last one where a name came twice."""
    return {result["name"]: result["value"] for result in _recorded(notebook)}


def varying(notebook: str | Path) -> dict[str, str]:
    """Names of the records that may differ from run to run, and why."""
    return {
        result["name"]: result["varies"] for result in _recorded(notebook) if "varies" in result
    }


def _recorded(notebook: str | Path) -> Iterator[dict[str, Any]]:
    # Not at the head: its validator takes seconds to import, and every notebook imports `record`.
    import nbformat

    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            result = output.get("data", {}).get(MEDIA_TYPE)
            if result is not None:
                yield result


def _plain(value: object) -> object:
    tolist = getattr(value, "tolist", None)
    if tolist is not None:
        return tolist()
    raise TypeError(
        f"a {type(value).__name__} is no JSON value: record numbers, texts, lists or mappings"
    )


def _show(data: Mapping[str, object]) -> None:
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        sys.stdout.write(f"{data['text/plain']}\n")
    else:
        display(dict(data), raw=True)
