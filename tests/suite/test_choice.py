from pathlib import Path

import pytest

from closedloop.suite import SuiteError
from closedloop.suite.parameters import chosen, notebooks_in

NOTEBOOKS = [Path("01_platform.ipynb"), Path("02_logging.ipynb"), Path("10_more.ipynb")]


def test_finds_numbered_notebooks_in_order(tmp_path: Path) -> None:
    for name in ("02_b.ipynb", "01_a.ipynb", "Untitled.ipynb", "01_a.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in notebooks_in(tmp_path)] == ["01_a.ipynb", "02_b.ipynb"]


def test_a_folder_without_notebooks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="holds no notebook"):
        notebooks_in(tmp_path)


@pytest.mark.parametrize("name", ["02", "2", "logging", "02_logging", "02_logging.ipynb"])
def test_a_notebook_may_be_named_in_several_ways(name: str) -> None:
    assert chosen(NOTEBOOKS, [name]) == [NOTEBOOKS[1]]


def test_the_order_is_the_notebooks_and_none_means_all() -> None:
    assert chosen(NOTEBOOKS, ["10", "01"]) == [NOTEBOOKS[0], NOTEBOOKS[2]]
    assert chosen(NOTEBOOKS, []) == NOTEBOOKS


def test_an_unknown_one_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(SuiteError, match="no notebook '7': known are 01_platform, 02_logging"):
        chosen(NOTEBOOKS, ["7"])
