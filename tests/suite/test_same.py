from pathlib import Path
from typing import Any

import pytest

from closedloop.suite import SuiteError
from closedloop.suite.same import compare, read


def run(results: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What a run of one notebook wrote."""
    return {
        "notebooks": [{"notebook": "03_a", "state": "ok"}],
        "parameters": {"03_a": {"platform": "embedded", "n": 5}},
        "results": {"03_a": results},
        **more,
    }


def faults(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in compare(one, other).faults]


def test_a_run_is_the_same_as_itself() -> None:
    one = run({"accuracy": 46 / 63, "matrix": [["a", "b", 3]], "none": None})
    compared = compare(one, one)
    assert compared.same
    assert compared.values == 1 + 1 + 1 + 3 + 1  # state, parameter n, and five numbers or texts


def test_each_number_that_differs_is_a_line() -> None:
    one = run({"matrix": [["a", 3], ["b", 4]], "macro": {"f1": 0.5, "recall": 1}})
    other = run({"matrix": [["a", 3], ["b", 5]], "macro": {"f1": 0.25, "recall": 1}})
    assert faults(one, other) == ["03_a: matrix[1][1]: 4 and 5", "03_a: macro.f1: 0.5 and 0.25"]


def test_what_only_one_has_differs() -> None:
    one, other = run({"x": 1, "list": [1]}), run({"y": 2, "list": [1, 2]})
    assert faults(one, other) == [
        "03_a: x: 1 and nothing",
        "03_a: list[1]: nothing and 2",
        "03_a: y: nothing and 2",
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.3000001, False),
        (True, 1, False),
        ("1", 1, False),
        (None, 0, False),
        ([], {}, False),
    ],
)
def test_numbers_are_the_same_but_for_their_last_digits(one: Any, other: Any, same: bool) -> None:
    assert compare(run({"x": one}), run({"x": other})).same is same


def test_what_varies_may_differ() -> None:
    varies = {"03_a": {"x": "a time"}}
    compared = compare(run({"x": 1, "y": 1}, varies=varies), run({"x": 2, "y": 1}))
    assert compared.same
    assert [(str(each), each.why) for each in compared.differences] == [
        ("03_a: x: 1 and 2", "a time")
    ]


def test_the_platform_may_differ_other_parameters_not() -> None:
    other = run({}, parameters={"03_a": {"platform": "cluster", "n": 6}})
    assert faults(run({}), other) == ["03_a: parameter n: 5 and 6"]


def test_a_notebook_that_failed_or_was_not_run_differs() -> None:
    other = run({}, notebooks=[{"notebook": "03_a", "state": "failed"}])
    assert faults(run({}), other) == ['03_a: its state: "ok" and "failed"']
    assert faults(run({}), run({}, notebooks=[]))[0] == '03_a: its state: "ok" and nothing'


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"run\.json.*name a folder that `closedloop run` wrote"):
        read(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(SuiteError, match="has no results"):
        read(tmp_path)
