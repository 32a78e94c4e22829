import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from closedloop.models.own import FolderError, check, interface, label
from closedloop.models.pipeline import Pipeline
from closedloop.paths import checkout_root

EXAMPLES = checkout_root() / "examples"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the wrapper has it: the current one, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_examples_say_which_class_serves_them() -> None:
    for model in ("two-measurements", "ten-measurements"):
        assert interface(EXAMPLES / "disease-progression" / model) == "DiseaseProgression"
    for model in ("all-measurements", "one-measurement"):
        assert interface(EXAMPLES / "tumour" / model) == "closedloop.models.pipeline.Pipeline"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"holds neither a file NAME\.py with a class NAME nor model\.joblib: add one"),
        ({"Mine.py": "class Other: ..."}, "holds neither"),
        ({"A.py": "class A: ...", "B.py": "class B: ..."}, "holds 2 models, A, B: leave one"),
        ({"Mine.py": "class Mine:\nclass"}, r"Mine\.py, line 2 is not Python: .*: correct it"),
    ],
)
def test_a_folder_without_one_model_is_one_sentence(
    files: dict[str, str], sentence: str, folder: Path
) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(FolderError, match=sentence):
        interface(folder)


def test_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"absent is no folder: name the one"):
        interface(tmp_path / "absent")


def test_a_class_may_come_from_another_file_and_have_a_saved_model_beside_it(folder: Path) -> None:
    (folder / "helpers.py").write_text("class Base: ...")
    (folder / "Mine.py").write_text("from helpers import Base as Mine")
    (folder / "model.joblib").touch()
    assert interface(folder) == "Mine"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import absent_package\nclass {0}: ...", "needs absent_package, .*: name the package"),
        ("class {0}:\n def __init__(self): open('no')", "{0} cannot be made: FileNotFoundError"),
        ("class {0}:\n def load(self): 1 / 0\n def predict(self): ...", "{0} cannot be made: Zero"),
        ("class {0}: ...", "the class {0} has no method predict: add it"),
    ],
)
def test_a_class_at_fault_is_one_sentence(source: str, sentence: str, folder: Path) -> None:
    name = f"Faulty{abs(hash(source))}"  # a module is imported once
    (folder / f"{name}.py").write_text(source.format(name))
    with pytest.raises(FolderError, match=sentence.format(name)) as caught:
        check(interface(folder))
    assert "\n" not in str(caught.value)


def test_a_pipeline_is_asked_as_the_kind_of_its_output_says(folder: Path) -> None:
    shutil.copytree(EXAMPLES / "tumour" / "all-measurements", folder, dirs_exist_ok=True)
    for kind, shape in (("score", (1,)), ("probabilities", (1, 2)), ("class", (1,))):
        (folder / "output.yaml").write_text(f"kind: {kind}\n")
        assert Pipeline().predict([[0.0] * 30]).shape == shape


def test_a_pipeline_at_fault_is_one_sentence(folder: Path) -> None:
    (folder / "output.yaml").write_text("kind: score\n")
    joblib.dump(LinearRegression(), folder / "model.joblib")
    with pytest.raises(FolderError, match="a LinearRegression without decision_function"):
        check(interface(folder))
    (folder / "model.joblib").write_text("{}")
    with pytest.raises(FolderError, match="Pipeline cannot be made"):
        check(interface(folder))
    (folder / "output.yaml").unlink()
    with pytest.raises(FolderError, match=r"output\.yaml does not say the kind of output"):
        check(interface(folder))


def test_the_program_says_it_in_one_line(folder: Path) -> None:
    command = [sys.executable, "-m", "closedloop.models.own", "--check", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{folder} holds neither")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "said"), [("two-measurements", "two-measurements"), ("My Model_2", "my-model-2")]
)
def test_a_folders_name_as_kubernetes_takes_it(name: str, said: str, tmp_path: Path) -> None:
    assert label(tmp_path / name) == said
