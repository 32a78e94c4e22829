"""Dashboards are as Grafana's published types of them: no field besides, each of its type.

The package reads known fields and checks none, so fields are compared with those that
come out again, and values with the annotations.
"""

import enum
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, DataTransformerConfig

from tests.manifests.test_dashboards import BOARDS


@pytest.fixture(autouse=True, scope="module")
def _panels_have_types() -> None:
    register_default_plugins()


def read(model: dict[str, Any]) -> Dashboard:
    board = Dashboard.from_json(model)
    for panel in board.panels or []:  # their own types, which the package leaves as they are
        panel.transformations = [  # type: ignore[union-attr]  # there are no rows of panels
            DataTransformerConfig.from_json(each)  # type: ignore[arg-type]
            for each in panel.transformations or []  # type: ignore[union-attr]
        ]
    return board


def faults(model: dict[str, Any]) -> list[str]:
    """Fields that Grafana does not know, and values of another type than it takes."""
    board = read(model)
    return [
        *unknown(model, json.loads(JSONEncoder().encode(board)), "dashboard"),
        *mistyped(board, Dashboard, "dashboard"),
    ]


def unknown(given: object, kept: object, place: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            if name in kept:
                yield from unknown(value, kept[name], f"{place}.{name}")
            else:
                yield f"{place} has no {name}"
    elif isinstance(given, list) and isinstance(kept, list):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from unknown(one, other, f"{place}[{number}]")


def mistyped(value: object, hint: Any, place: str) -> list[str]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return min((mistyped(value, each, place) for each in inner), key=len)
    if origin is list and isinstance(value, list):
        each = enumerate(value)
        return [fault for at, one in each for fault in mistyped(one, inner[0], f"{place}[{at}]")]
    if origin is dict and isinstance(value, dict):
        pairs = value.items()
        return [fault for at, one in pairs for fault in mistyped(one, inner[1], f"{place}.{at}")]
    if origin is typing.Literal:
        fits = value in inner
    elif hint in (typing.Any, object):
        fits = True
    elif origin is None and issubclass(hint, enum.Enum):
        fits = value in [one.value for one in hint]
    else:
        fits = type(value) in {float: (int, float), int: (int,)}.get(hint, (type(value),)) and (
            hint is float or isinstance(value, origin or hint)
        )
    if not fits:
        return [f"{place} is {value!r}, no {hint}"]
    return [
        fault
        for name, each in typing.get_type_hints(type(value)).items()
        for fault in mistyped(getattr(value, name), each, f"{place}.{name}")
    ]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_as_grafana_publishes_its_schema(name: str) -> None:
    assert faults(BOARDS[name]) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("colour",), "red", "dashboard has no colour"),
        (("time", "since"), "now-5m", "dashboard.time has no since"),
        (("templating", "list", 0, "definition"), "x", "dashboard.templating.list[0] has no"),
        (("panels", 0, "gridPos", "w"), "12", "grid_pos.w is '12', no"),
        (("panels", 0, "targets", 0, "expr"), 1, "targets[0].expr is 1, no"),
        (("panels", 0, "targets", 0, "legend"), "x", "targets[0] has no legend"),
        (("panels", 0, "fieldConfig", "defaults", "max"), "1", "defaults.max_val is '1', no"),
        (("panels", 0, "fieldConfig", "defaults", "custom", "drawStyle"), "dots", "'dots', no"),
        (("panels", 3, "transformations", 0, "name"), "x", "transformations[0] has no name"),
    ],
)
def test_another_field_or_type_is_found(
    path: tuple[str | int, ...], value: object, said: str
) -> None:
    model: Any = json.loads(json.dumps(BOARDS["accuracy"]))
    within = model
    for step in path[:-1]:
        within = within[step]
    within[path[-1]] = value
    assert [said in fault for fault in faults(model)] == [True]
