from pathlib import Path

import pytest

from closedloop.suite.contract import faults
from closedloop.suite.parameters import parameters_of, read_defaults
from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import NOTEBOOKS, key


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_to_the_contract(notebook: Path) -> None:
    assert faults(notebook) == []


def test_every_notebook_is_checked() -> None:
    folder = NOTEBOOKS[0].parent
    again = read_defaults(folder / "again.yaml")
    names = [notebook.stem for notebook in NOTEBOOKS]
    more = [f"{name}-{each}" for name in names for each in again.get(name, {})]
    assert [key(name) for name in (*names, *more)] == list(EXPECTED)
    for notebook in NOTEBOOKS:
        for values in again.get(notebook.stem, {}).values():
            assert values.keys() <= parameters_of(notebook).keys()


def test_test_parameters_name_notebooks() -> None:
    named = set(read_defaults(NOTEBOOKS[0].parent / "test-parameters.yaml"))
    assert named <= {notebook.stem for notebook in NOTEBOOKS}
