"""The files of the examples are those that their script makes."""

import csv
import json
import shutil
from pathlib import Path

import joblib
import pytest

from closedloop.paths import checkout_root
from examples.make import make

EXAMPLES = checkout_root() / "examples"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("*.csv", "*.joblib", "*.json"))
    make(folder)
    return folder


@pytest.mark.parametrize("example", ["disease-progression", "tumour"])
def test_the_rows(example: str, made: Path) -> None:
    new, shipped = (root / example / "rows.csv" for root in (made, EXAMPLES))
    assert new.read_text() == shipped.read_text()


@pytest.mark.parametrize("model", ["two-measurements", "ten-measurements"])
def test_the_weights(model: str, made: Path) -> None:
    new, shipped = (
        json.loads((root / "disease-progression" / model / "weights.json").read_text())
        for root in (made, EXAMPLES)
    )
    assert new["columns"] == shipped["columns"]
    assert new["weights"] == pytest.approx(shipped["weights"], rel=1e-4)


@pytest.mark.parametrize("model", ["all-measurements", "one-measurement"])
def test_the_pipelines(model: str, made: Path) -> None:
    with (EXAMPLES / "tumour" / "rows.csv").open() as file:
        rows = [[float(cell) for cell in row[:-1]] for row in list(csv.reader(file))[1:]]
    new, shipped = (
        joblib.load(root / "tumour" / model / "model.joblib").decision_function(rows)
        for root in (made, EXAMPLES)
    )
    assert new == pytest.approx(shipped, rel=1e-3, abs=1e-3)
