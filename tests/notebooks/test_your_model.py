"""Notebook 08 with each input at fault: it ends with one sentence, and early."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from closedloop.paths import checkout_root
from tests.notebooks.running import Walkthrough

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.notebook,
    pytest.mark.nightly,
    pytest.mark.timeout(900),
]

EXAMPLE = checkout_root() / "examples" / "disease-progression"
CLASS = "two-measurements/DiseaseProgression.py"
REQUIREMENTS = "two-measurements/requirements.txt"
DECLARATION = "two-measurements/output.yaml"


@pytest.fixture(scope="module")
def walkthrough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walkthrough]:
    """A platform that stays from one case to the next."""
    one = Walkthrough(tmp_path_factory.mktemp("your-model"))
    try:
        yield one
    finally:
        one.call("down")


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (CLASS, "class Other: ...", "two-measurements holds neither a file NAME.py with a class"),
        (CLASS, "class DiseaseProgression(:", "is not Python: "),
        (CLASS, "class DiseaseProgression: ...", "has no method predict: add it"),
        (CLASS, "import six_or_seven\nclass DiseaseProgression: ...", "needs six_or_seven, which"),
        (
            CLASS,
            "class DiseaseProgression:\n def predict(self, rows, names): 1 / 0",
            "answers the first row with status 500",
        ),
        (REQUIREMENTS, "no-such-package-as-this==1", "no-such-package-as-this was not found"),
        (REQUIREMENTS, None, "has no requirements.txt: add one"),
        (DECLARATION, "kind: guess", "kind is 'guess': write one of"),
        (DECLARATION, "{kind: class, classes: [a, b]}", "do not fit"),
        ("rows.csv", "age,sex\n1,2\n", "has no column 'progression': name the truths' column"),
    ],
)
def test_an_input_at_fault_is_one_sentence(
    file: str, text: str | None, sentence: str, walkthrough: Walkthrough, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(EXAMPLE, mine)
    (mine / file).unlink()
    if text is not None:
        (mine / file).write_text(text)
    parameters = {
        "folder": mine / "two-measurements",
        "challenger": mine / "ten-measurements",
        "rows": mine / "rows.csv",
        "name": "faulty",
    }
    given = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    out = tmp_path / "out"
    options = ("--test", "--keep", "--only", "08", "--out", str(out))
    said = walkthrough.call("run", *options, *given, status=1)
    (error,) = (
        output
        for cell in nbformat.read(out / "08_your_model.ipynb", as_version=4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    )
    assert sentence in error.evalue, said
    assert "\n" not in error.evalue
