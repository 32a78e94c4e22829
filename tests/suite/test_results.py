import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_output

from closedloop.suite.results import MEDIA_TYPE, record, results, varying
from tests.suite.fakes import code, notebook


def executed(path: Path, *recorded: tuple[str, Any]) -> Path:
    cell = code("record()")
    cell.outputs = [
        new_output("display_data", data={MEDIA_TYPE: {"name": name, "value": value}})
        for name, value in recorded
    ]
    return notebook(path, cell)


def test_reads_what_was_recorded_the_last_value_of_a_name(tmp_path: Path) -> None:
    path = executed(tmp_path / "01_a.ipynb", ("n", 1), ("matrix", [[1, 2]]), ("n", 3))
    assert results(path) == {"n": 3, "matrix": [[1, 2]]}


def test_what_varies_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("closedloop.suite.results._show", shown.append)
    record("started", 5.0, varies="a time")
    record("n", 3)
    cell = code("record()")
    cell.outputs = [new_output("display_data", data=data) for data in shown]
    path = notebook(tmp_path / "01_a.ipynb", cell)
    assert results(path) == {"started": 5.0, "n": 3}
    assert varying(path) == {"started": "a time"}


def test_other_outputs_are_no_results(tmp_path: Path) -> None:
    cell = code("1")
    cell.outputs = [new_output("stream", text="n: 1"), new_output("execute_result", data={})]
    assert results(notebook(tmp_path / "01_a.ipynb", cell)) == {}


def test_outside_a_notebook_the_value_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    record("accuracy", 46 / 63)
    record("alert", "ModelAccuracyLow")
    assert capsys.readouterr().out == f"accuracy: {46 / 63}\nalert: ModelAccuracyLow\n"


@pytest.mark.parametrize(
    ("value", "shown"), [(np.float64(0.5), "0.5"), (np.arange(3), "[0, 1, 2]"), ((1, 2), "[1, 2]")]
)
def test_numbers_of_numpy_and_tuples_become_json(
    value: object, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record("x", value)
    assert capsys.readouterr().out == f"x: {shown}\n"


def test_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="'x' is nan: record None"):
        record("x", float("nan"))
    with pytest.raises(TypeError, match="a set is no JSON value"):
        record("x", {1})


def test_a_notebook_that_was_not_run_has_no_results(tmp_path: Path) -> None:
    path = notebook(tmp_path / "01_a.ipynb", "1 + 1")
    assert results(path) == {}
    assert nbformat.read(path, as_version=4).cells


def test_recording_takes_no_reader_of_notebooks() -> None:
    code = "import sys, closedloop.suite.results; print('nbformat' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
