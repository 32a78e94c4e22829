"""Two runs of the notebooks, compared number by number."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from closedloop.suite import SuiteError

RUN = "run.json"
# Parameters in which two runs of one suite may differ: they say where it runs.
_PLACE = "platform"
_RELATIVE = 1e-9  # sums of one series in another order


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that two runs have different; `why` is empty where it must not be."""

    where: str
    first: object
    second: object
    why: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {_shown(self.first)} and {_shown(self.second)}"


@dataclass(frozen=True, slots=True)
class Compared:
    """How many values were compared, and those that differ."""

    values: int
    differences: list[Difference]

    @property
    def faults(self) -> list[Difference]:
        """Differences between values that must be the same."""
        return [each for each in self.differences if not each.why]

    @property
    def same(self) -> bool:
        return not self.faults


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def read(place: Path) -> dict[str, Any]:
    """The `run.json` of a run, from its folder or by its own name. Raises `SuiteError`."""
    file = place / RUN if place.is_dir() else place
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SuiteError(f"{file}: {error}: name a folder that `closedloop run` wrote") from None
    if not isinstance(run, dict) or not isinstance(run.get("results"), dict):
        raise SuiteError(f"{file} has no results: name a folder that `closedloop run` wrote")
    return run


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Compared:
    """Compare the parameters, the states and the recorded results of two runs.

    A value that either run's notebooks recorded as varying may differ; floats
    are the same within one part in 10^9.
    """
    found: list[Difference] = []
    values = 0
    for where, one, other, why in _values(first, second):
        values += 1
        if not _equal(one, other):
            found.append(Difference(where, one, other, why))
    return Compared(values, found)


def pairs(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any, str]]:
    """Each recorded result of both runs: its name, both values, and why it may differ."""
    for notebook in _names(_states(first), _states(second)):
        results = [run["results"].get(notebook, {}) for run in (first, second)]
        varies = {
            name: why
            for run in (first, second)
            for name, why in run.get("varies", {}).get(notebook, {}).items()
        }
        for name in _names(*results):
            one, other = (each.get(name, _MISSING) for each in results)
            yield f"{notebook}: {name}", one, other, varies.get(name, "")


def _values(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, object, object, str]]:
    """Every value of both, with where it is and why it may differ."""
    for notebook in _names(_states(first), _states(second)):
        states = [_states(run).get(notebook, _MISSING) for run in (first, second)]
        yield f"{notebook}: its state", states[0], states[1], ""
        told = [dict(run.get("parameters", {}).get(notebook, {})) for run in (first, second)]
        for name in _names(*told):
            if name != _PLACE:
                for path, one, other in _leaves(*(each.get(name, _MISSING) for each in told)):
                    yield f"{notebook}: parameter {name}{path}", one, other, ""
    for where, whole, whole_other, why in pairs(first, second):
        for path, one, other in _leaves(whole, whole_other):
            yield f"{where}{path}", one, other, why


def _states(run: Mapping[str, Any]) -> dict[str, str]:
    return {each["notebook"]: each["state"] for each in run.get("notebooks", [])}


def _names(*mappings: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys(name for each in mappings for name in each))


def _leaves(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, object, object]]:
    """Numbers, texts and the like of two values side by side, each with its path."""
    match one, other:
        case dict(), dict():
            for name in _names(one, other):
                both = one.get(name, _MISSING), other.get(name, _MISSING)
                yield from _leaves(*both, f"{path}.{name}")
        case list(), list():
            for index, pair in enumerate(zip_longest(one, other, fillvalue=_MISSING)):
                yield from _leaves(*pair, f"{path}[{index}]")
        case _:
            yield path, one, other


def _equal(one: object, other: object) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    if numbers and not isinstance(one, bool) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=_RELATIVE)  # type: ignore[arg-type]  # numbers
    return type(one) is type(other) and one == other


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, _Missing) else json.dumps(value, ensure_ascii=False)
