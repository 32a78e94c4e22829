"""What alpha is, said alike wherever it is said."""

import nbformat

import closedloop.judging.decision
from closedloop.judging.decision import ALPHA, decide
from closedloop.suite.parameters import parameters_of
from tests.notebooks.running import NOTEBOOKS

SAID = ALPHA.removesuffix(".").removeprefix("The ").lower()


def test_alpha_is_the_same_in_notebook_and_docstrings() -> None:
    (notebook,) = (path for path in NOTEBOOKS if path.name.startswith("06"))
    cells = nbformat.read(notebook, as_version=4).cells
    text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert SAID in text
    comment = parameters_of(notebook)["alpha"].comment
    assert SAID.startswith(comment.removeprefix("the "))
    for documented in (closedloop.judging.decision, decide):
        assert SAID in " ".join((documented.__doc__ or "").split())
