import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from closedloop.loop.output import (
    LONGEST_CLASS,
    MOST_CLASSES,
    InvalidOutput,
    Output,
    Outputs,
    number_like,
    read_output,
    read_outputs,
)
from tests.json_values import JSON

IRIS = ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize(
    ("said", "output"),
    [
        (
            {"kind": "probabilities", "classes": IRIS},
            Output("probabilities", tuple(IRIS)),
        ),
        (
            {"kind": "class", "classes": [-1, 1], "column": "class"},
            Output("class", ("-1", "1"), (-1, 1), ("class",)),
        ),
        (
            {"kind": "class", "classes": [False, True]},
            Output("class", ("false", "true"), (0, 1)),
        ),
        (
            {"kind": "class", "classes": [1.0, 2.5]},
            Output("class", ("1", "2.5"), (1, 2.5)),
        ),
        (
            {"kind": "class", "classes": ["no", 1]},
            Output("class", ("no", "1")),
        ),
        (
            {"kind": "class", "classes": ["no", "yes"], "codes": [10, 20], "truth": "code"},
            Output("class", ("no", "yes"), (10, 20), truth="code"),
        ),
        ({"kind": "score", "threshold": 1}, Output("score", ("0", "1"), (0, 1), threshold=1.0)),
        (
            {"kind": "regression", "column": [0, "y"], "tolerance": 0.5, "reward_threshold": -1},
            Output("regression", column=(0, "y"), tolerance=0.5, reward_threshold=-1.0),
        ),
        (
            {"kind": "multilabel", "classes": ["a", "b"], "threshold": 0.5, "column": [1, 2]},
            Output("multilabel", ("a", "b"), column=(1, 2), threshold=0.5),
        ),
    ],
)
def test_reads_a_declaration(said: dict[str, object], output: Output) -> None:
    assert read_output(said) == output


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "write a mapping with a kind"),
        ("class", "write a mapping with a kind"),
        ({}, "kind is None: write one of class, probabilities"),
        ({"kind": "classes"}, "kind is 'classes'"),
        ({"kind": ["class"]}, "kind is"),
        ({"kind": "class", "class": ["a"]}, "'class' is no field"),
        ({"kind": "class", 1: 2}, "1 is no field"),
        ({"kind": "regression", "classes": ["a"]}, "classes says nothing of kind regression"),
        ({"kind": "class", "classes": ["a"], "threshold": 1}, "threshold says nothing of kind"),
        ({"kind": "regression", "codes": [1]}, "codes says nothing of kind"),
        ({"kind": "class"}, "a class needs classes"),
        ({"kind": "class", "classes": "abc"}, "classes is not a list"),
        ({"kind": "class", "classes": {"a": 1}}, "classes is not a list"),
        ({"kind": "class", "classes": ["a"] * (MOST_CLASSES + 1)}, "at most 1000"),
        ({"kind": "class", "classes": ["a", "a"]}, "'a' comes twice"),
        ({"kind": "class", "classes": [1, "1"]}, "'1' comes twice"),
        ({"kind": "class", "classes": [1, 1.0]}, "'1' comes twice"),
        ({"kind": "class", "classes": [1, True]}, "codes is"),
        ({"kind": "class", "classes": [""]}, "a class of 0 characters"),
        ({"kind": "class", "classes": ["x" * (LONGEST_CLASS + 1)]}, "a class of 257 characters"),
        ({"kind": "class", "classes": [None]}, "neither text nor a number"),
        ({"kind": "class", "classes": [["a"]]}, "neither text nor a number"),
        ({"kind": "class", "classes": [float("nan")]}, "neither text nor a number"),
        ({"kind": "class", "classes": [10**400]}, "neither text nor a number"),
        ({"kind": "class", "classes": ["a", "b"], "codes": [1]}, "one number for each class"),
        ({"kind": "class", "classes": ["a", "b"], "codes": [1, 1]}, "one number for each class"),
        ({"kind": "class", "classes": ["a", "b"], "codes": [1, "2"]}, "one number for each class"),
        ({"kind": "class", "classes": ["a", "b"], "codes": 1}, "one number for each class"),
        ({"kind": "class", "classes": ["a"], "truth": "label"}, "truth is 'label'"),
        ({"kind": "class", "classes": ["a"], "truth": "code"}, "no class has one"),
        ({"kind": "class", "classes": ["a"], "column": ["x", "y"]}, "is one column, not 2"),
        ({"kind": "class", "classes": ["a"], "column": -1}, "an index from 0"),
        ({"kind": "class", "classes": ["a"], "column": True}, "an index from 0"),
        ({"kind": "class", "classes": ["a"], "column": ""}, "an index from 0"),
        ({"kind": "class", "classes": ["a"], "column": 1.0}, "an index from 0"),
        ({"kind": "regression", "column": [1, 1]}, "one column twice"),
        ({"kind": "probabilities", "classes": ["a"]}, "write two classes or more"),
        ({"kind": "probabilities", "classes": IRIS, "column": [1, 2]}, "names 2 columns of 3"),
        ({"kind": "probabilities", "classes": IRIS, "threshold": 0.5}, "between two classes"),
        ({"kind": "score"}, "a score needs a threshold"),
        ({"kind": "score", "threshold": 1, "classes": ["a"]}, "two classes, not 1"),
        ({"kind": "score", "threshold": "1"}, "threshold is '1': write a finite number"),
        ({"kind": "score", "threshold": True}, "write a finite number"),
        ({"kind": "score", "threshold": float("inf")}, "write a finite number"),
        ({"kind": "multilabel"}, "multilabel needs classes"),
        ({"kind": "multilabel", "classes": ["a", "b", "c"], "column": [0, 1]}, "names 2 columns"),
        ({"kind": "regression", "tolerance": -1}, "tolerance is -1"),
        ({"kind": "regression", "reward_threshold": "x"}, "reward_threshold is 'x'"),
    ],
)
def test_refuses_a_declaration_and_says_what_to_write(said: object, words: str) -> None:
    with pytest.raises(InvalidOutput) as refused:
        read_output(said, "seldon/iris/default")
    assert words in str(refused.value)
    assert str(refused.value).startswith("seldon/iris/default")


def test_declares_predictors_and_whole_deployments() -> None:
    outputs = read_outputs(
        {
            "seldon/iris/*": {"kind": "class", "classes": IRIS},
            "seldon/iris/default": {"kind": "probabilities", "classes": IRIS},
        }
    )
    kinds = [
        output.kind if (output := outputs.of(names)) else None
        for names in (
            ("seldon", "iris", "default"),
            ("seldon", "iris", "shadow"),
            ("seldon", "Iris", "default"),
            ("other", "iris", "default"),
        )
    ]
    assert kinds == ["probabilities", "class", None, None]


def test_nothing_declared_is_nothing() -> None:
    assert read_outputs(None) == read_outputs({}) == Outputs()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([], "the declarations are a list"),
        ("text", "the declarations are a str"),
        ({"iris": {"kind": "regression"}}, "'iris' names no predictor"),
        ({"a/b": {"kind": "regression"}}, "'a/b' names no predictor"),
        ({"a/b/c/d": {"kind": "regression"}}, "names no predictor"),
        ({"a//c": {"kind": "regression"}}, "names no predictor"),
        ({1: {"kind": "regression"}}, "1 names no predictor"),
        ({"a/b/c": {"kind": "x"}}, "a/b/c: kind is 'x'"),
    ],
)
def test_refuses_declarations_of_nobody(said: object, words: str) -> None:
    with pytest.raises(InvalidOutput, match=words):
        read_outputs(said)


@pytest.mark.parametrize("text", ["1", "-1", "+1", "01", "1.5", "1e5", "-2.50E-3"])
def test_texts_that_are_numbers(text: str) -> None:
    assert number_like(text)


@pytest.mark.parametrize(
    "text", ["", "a", "1a", "1_0", "t:1", "--1", "1.", ".5", "nan", "inf", "\u0661"]
)
def test_texts_that_are_none(text: str) -> None:
    assert not number_like(text)


@pytest.mark.parametrize(
    ("classes", "certain"),
    [
        (IRIS, True),
        (["0", "1"], True),
        (["1", "2"], False),
        (["a", "1"], True),
        (["a", "0"], False),
    ],
)
def test_numbers_are_indices_where_no_name_says_otherwise(
    classes: list[object], certain: bool
) -> None:
    assert read_output({"kind": "class", "classes": classes}).names_are_indices is certain


CLASS = st.text(min_size=1, max_size=5) | st.integers(-(2**60), 2**60) | st.booleans()
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "classes": st.lists(CLASS, max_size=4) | JSON,
    "codes": st.lists(st.integers() | st.floats(), max_size=4) | JSON,
    "column": st.integers(0, 3) | st.text(max_size=2) | st.lists(st.integers(0, 3)) | JSON,
    "threshold": st.floats() | JSON,
    "truth": st.sampled_from(["name", "code", "index"]) | JSON,
    "answer": st.sampled_from(["name", "code", "index"]) | JSON,
    "tolerance": st.floats() | JSON,
    "reward_threshold": st.floats() | JSON,
}
KINDS = st.sampled_from(["class", "probabilities", "score", "regression", "multilabel"])
SAID = st.fixed_dictionaries({"kind": KINDS}, optional=FIELDS)


@given(SAID)
def test_what_is_read_says_what_was_said(said: dict[str, Any]) -> None:
    try:
        output = read_output(said)
    except InvalidOutput:
        return
    again = json.loads(json.dumps(output.said()))
    assert read_output(again) == output
    assert read_output(again).digest == output.digest
    hash(output)


@given(SAID, SAID)
@example({"kind": "regression", "tolerance": 0.0}, {"kind": "regression", "tolerance": -0.0})
def test_what_differs_has_another_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    try:
        outputs = read_output(one), read_output(other)
    except InvalidOutput:
        return
    assert (outputs[0] == outputs[1]) == (outputs[0].digest == outputs[1].digest)


@given(JSON)
def test_anything_is_a_declaration_or_refused(said: object) -> None:
    for read in (read_output, read_outputs):
        with suppress(InvalidOutput):
            read(said)
