from pathlib import Path

import pytest

from closedloop.suite import SuiteError
from closedloop.suite.parameters import (
    Parameter,
    assign,
    assign_again,
    declared,
    parameters_of,
    read_defaults,
)
from tests.suite.fakes import notebook


def test_reads_names_defaults_and_comments() -> None:
    source = 'rate = 12.0  # requests a second\n\nname = "a # b"  # with a hash'
    assert declared(source) == [
        Parameter("rate", 12.0, "requests a second"),
        Parameter("name", "a # b", "with a hash"),
    ]


@pytest.mark.parametrize("line", ["n = 1", "n = f()  # call", "n += 1  # more", "n: int  # n", "("])
def test_refuses_other_lines(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 1 is not `name = value  # comment`"):
        declared(line)


def one(tmp_path: Path, parameters: str) -> list[Path]:
    return [notebook(tmp_path / "01_a.ipynb", parameters=parameters)]


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ("2", "500", 500),
        ("2.0", "5", 5.0),
        ("True", "false", False),
        ('"a"', "007", "007"),
        ("[1]", "[2, 3]", [2, 3]),
        ("None", "4", 4),
    ],
)
def test_a_given_text_takes_the_type_of_the_default(
    default: str, text: str, value: object, tmp_path: Path
) -> None:
    notebooks = one(tmp_path, f"x = {default}  # x")
    assigned = assign(notebooks, {"x": text}, platform="embedded")["01_a"]["x"]
    assert assigned == value
    assert type(assigned) is type(value)


def test_a_text_of_another_type_is_an_error(tmp_path: Path) -> None:
    notebooks = one(tmp_path, "total = 100  # requests")
    with pytest.raises(SuiteError, match="total is 'many': give int, like its default 100"):
        assign(notebooks, {"total": "many"}, platform="embedded")


def test_a_name_that_no_notebook_has_is_an_error_with_the_known_ones(tmp_path: Path) -> None:
    notebooks = one(tmp_path, "n = 1  # n\nrate = 2  # rate")
    with pytest.raises(SuiteError, match=r"'total' in 01_a: known are n, rate"):
        assign(notebooks, {"total": "1"}, platform="embedded")


def test_a_parameter_goes_to_the_notebooks_that_have_it(tmp_path: Path) -> None:
    notebooks = [
        *one(tmp_path, "n = 1  # n"),
        notebook(tmp_path / "02_b.ipynb", parameters="m = 1  # m"),
    ]
    assert assign(notebooks, {"m": "5"}, platform="embedded") == {"01_a": {}, "02_b": {"m": 5}}


def test_the_platform_goes_to_all_and_what_is_given_beats_defaults(tmp_path: Path) -> None:
    notebooks = [notebook(tmp_path / "01_a.ipynb")]
    values = assign(notebooks, {"n": "9"}, platform="cluster", defaults={"01_a": {"n": 1}})
    assert values == {"01_a": {"platform": "cluster", "n": 9}}


def test_defaults_for_an_unknown_parameter_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="01_a has no parameter 'm'"):
        assign(one(tmp_path, "n = 1  # n"), {}, platform="embedded", defaults={"01_a": {"m": 1}})


def test_reads_defaults_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "test-parameters.yaml"
    file.write_text("01_a: {n: 1}\n")
    assert read_defaults(file) == {"01_a": {"n": 1}}
    file.write_text("01_a: 3\n")
    with pytest.raises(SuiteError, match="must map"):
        read_defaults(file)
    with pytest.raises(SuiteError, match="cannot be read"):
        read_defaults(tmp_path / "absent.yaml")


def test_a_parameters_cell_that_breaks_the_form_names_the_notebook(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"01_a\.ipynb: in the parameters cell line 1"):
        parameters_of(*one(tmp_path, "n = 1"))


def test_a_notebook_runs_again_with_other_parameters_unless_one_is_given(tmp_path: Path) -> None:
    notebooks = one(tmp_path, "n = 1  # n\nm = 2  # m")
    values = {"01_a": {"m": 3}}
    again = {"01_a": {"more": {"n": 9}}, "02_b": {"more": {"n": 9}}}
    assert assign_again(notebooks, {"m": "3"}, values, again) == {
        "01_a-more": (notebooks[0], {"m": 3, "n": 9})
    }
    assert assign_again(notebooks, {"n": "7"}, values, again) == {}
    with pytest.raises(SuiteError, match="the notebook 01_a has no parameter 'k'"):
        assign_again(notebooks, {}, values, {"01_a": {"more": {"k": 9}}})
