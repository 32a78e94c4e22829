from pathlib import Path

import pytest

from closedloop.suite.contract import faults
from closedloop.suite.parameters import read_defaults
from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_to_the_contract(notebook: Path) -> None:
    assert faults(notebook) == []


def test_every_notebook_is_checked() -> None:
    assert [notebook.name[:2] for notebook in NOTEBOOKS] == list(EXPECTED)


def test_test_parameters_name_notebooks() -> None:
    named = set(read_defaults(NOTEBOOKS[0].parent / "test-parameters.yaml"))
    assert named <= {notebook.stem for notebook in NOTEBOOKS}
