"""Complaints of pydantic as sentences."""

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from closedloop.validation import faults, field_path, first_fault


def _never(value: str) -> str:
    raise ValueError("give a URL such as http://127.0.0.1/")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=2)
    labels: dict[Annotated[str, Field(pattern="^x")], int] = {}
    kind: Literal["a", "b"] = "a"
    url: Annotated[str, AfterValidator(_never)] = ""
    two: list[int] = Field([1], min_length=1, max_length=2)
    name: str = Field("", max_length=3)


def _said(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        _Model.model_validate(values)
    return first_fault(caught.value, "spec", "of", 0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "number is missing: add it"),
        ({"number": 1}, "number is 1: it must be greater than or equal to 2"),
        ({"number": 2, "labels": {"y": 1}}, "labels.y is 'y': it must match ^x"),
        (
            {"number": 2, "labels": {"x/y": "z"}},
            "labels[\"x/y\"] is 'z': it must be a valid integer",
        ),
        ({"number": 2, "kind": "c"}, "kind is 'c': give 'a' or 'b'"),
        ({"number": 2, "url": "u"}, "url is 'u': give a URL such as http://127.0.0.1/"),
        ({"number": 2, "two": []}, "two is empty: add an entry"),
        ({"number": 2, "two": [1, 2, 3]}, "two has 3 entries: give at most 2"),
        ({"number": 2, "name": "long"}, "name is 'long': it must have at most 3 characters"),
        ({"number": 2, "nmae": 1}, "nmae is unknown: remove it"),
    ],
)
def test_a_complaint_names_field_value_and_remedy(values: dict[str, object], sentence: str) -> None:
    assert _said(**values).startswith(f"spec.of[0].{sentence}")


def test_every_complaint_is_told_in_the_caller_s_words() -> None:
    with pytest.raises(ValidationError) as caught:
        _Model.model_validate({"number": "secret", "other": 1})
    shown = faults(caught.value, show=lambda _: "hidden", unknown="does nothing here: remove it")
    assert [each.partition(":")[0] for each in shown] == [
        "number is hidden",
        "other does nothing here",
    ]


def test_a_value_without_a_path_is_called_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python("x" * 200)
    assert first_fault(caught.value).startswith("the value is 'xxx")
    assert len(first_fault(caught.value)) < 140


def test_a_path_is_written_as_a_person_writes_it() -> None:
    assert field_path(("spec", "ports", 0, "a/b", "c-d")) == 'spec.ports[0]["a/b"].c-d'
