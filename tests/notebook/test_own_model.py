from pathlib import Path

import pytest
import requests

from closedloop.loop.output import Output
from closedloop.manifests import Manifest
from closedloop.notebook.own_model import (
    OwnModelError,
    Rows,
    declared,
    deployment,
    distinct,
    first_verdict,
    judged,
    link,
    objects,
    read_rows,
)
from closedloop.paths import checkout_root
from closedloop.platforms.embedded.reconcile import read

EXAMPLES = checkout_root() / "examples"
REGRESSION = Output("regression", tolerance=50.0)


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    return path


def answer(text: str, status: int = 200) -> requests.Response:
    made = requests.Response()
    made.status_code, made._content = status, text.encode()
    return made


def test_rows_and_truths_are_numbers_where_they_read_as_such(tmp_path: Path) -> None:
    path = csv(tmp_path, "\ufeffa,truth,b\n1,x,2.5\n\n-3,nan,1e3\n")
    assert read_rows(path, "truth") == Rows(["a", "b"], [[1, 2.5], [-3, 1000.0]], ["x", "nan"])


def test_a_long_number_keeps_its_digits(tmp_path: Path) -> None:
    path = csv(tmp_path, "a,truth\n9007199254740993,x\n")
    assert read_rows(path, "truth").rows == [[9007199254740993]]


def test_the_examples_rows() -> None:
    data = read_rows(EXAMPLES / "tumour" / "rows.csv", "diagnosis")
    assert (len(data.rows), len(data.names)) == (284, 30)
    assert set(data.truths) == {"benign", "malignant"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "has no column 'truth': name the truths' column, one of a, b"),
        ("", "has no column 'truth': .* one of none"),
        ("a,truth\n", "has no rows: add some"),
        ("a,truth\n1,2\n3\n", "line 3: a value of 2 is missing or one too many"),
        ("a,truth\n1,\n", "line 2: a value of 2 is missing"),
        ('a,truth\n"1,2\n', "cannot be read as CSV"),
    ],
)
def test_a_file_of_rows_at_fault_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(OwnModelError, match=sentence) as info:
        read_rows(csv(tmp_path, text), "truth")
    assert "\n" not in str(info.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OwnModelError, match=r"absent\.csv cannot be read as CSV: .*: name another"):
        read_rows(tmp_path / "absent.csv", "truth")


def test_a_declaration_becomes_an_entry_of_its_own() -> None:
    output, entry = declared(EXAMPLES / "disease-progression" / "ten-measurements", "progress")
    assert output == REGRESSION
    assert entry == {
        "progress-ten-measurements.yaml": "seldon/progress/ten-measurements:"
        ' {"kind": "regression", "tolerance": 50.0}\n'
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: guess", "kind is 'guess': write one of class"),
        ("{kind: regression", "is not YAML"),
        ("", "is None: write a mapping with a kind"),
        ("kind: score\nclasses: [a, b]", "a score needs a threshold"),
        ("kind: regression\nthreshold: 1", "threshold says nothing of kind regression"),
    ],
)
def test_a_declaration_at_fault_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "output.yaml").write_text(text)
    with pytest.raises(OwnModelError, match=sentence) as info:
        declared(tmp_path, "mine")
    assert str(tmp_path / "output.yaml") in str(info.value)
    assert "\n" not in str(info.value)


def test_a_declaration_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OwnModelError, match=r"output\.yaml cannot be read: .*: write the decl"):
        declared(tmp_path, "mine")


def test_an_answer_is_judged_as_the_log_judges_it() -> None:
    assert judged(REGRESSION, {"data": {"names": [], "ndarray": [152.5]}}, 201).correct is True
    assert judged(REGRESSION, {"data": {"names": [], "ndarray": [[152.5]]}}, 203).correct is False


@pytest.mark.parametrize(
    ("output", "said", "truth", "sentence"),
    [
        (REGRESSION, answer('{"data": {"ndarray": ["high"]}}'), 1, "do not fit .*output.yaml: the"),
        (REGRESSION, answer('{"data": {"ndarray": [1]}}'), "high", "'high' do not fit"),
        (Output("regression"), answer('{"data": {"ndarray": [1]}}'), 1, "declare a tolerance"),
        (REGRESSION, answer("no\nway", 500), 1, "answers the first row with status 500: no way: c"),
    ],
)
def test_a_first_answer_that_does_not_fit_is_one_sentence(
    output: Output, said: requests.Response, truth: object, sentence: str
) -> None:
    with pytest.raises(OwnModelError, match=sentence) as info:
        first_verdict(output, Path("mine"), said, truth)
    assert "\n" not in str(info.value)


def test_the_deployment_is_one_that_the_operator_takes() -> None:
    made = deployment("mine", {"old": "r.example/old:1", "new": "r.example/new:2"})
    (one,) = read([Manifest("mine", made)])
    assert (one.namespace, one.name) == ("seldon", "mine")
    first, second = made["spec"]["predictors"]
    assert ("shadow" in first, second["shadow"]) == (False, True)
    images = [p["componentSpecs"][0]["spec"]["containers"][0]["image"] for p in (first, second)]
    assert images == ["r.example/old:1", "r.example/new:2"]


def test_the_triggers_are_of_the_model() -> None:
    filters = [one["spec"]["filter"]["attributes"] for one in objects("triggers.yaml", "mine")]
    assert [each["inferenceservicename"] for each in filters] == ["mine", "mine"]
    assert [each["type"].rpartition(".")[2] for each in filters] == ["response", "feedback"]


def test_two_folders_of_one_name_are_one_sentence() -> None:
    assert distinct([Path("a/one"), Path("a/two")]) == ["one", "two"]
    with pytest.raises(OwnModelError, match="v1/model and v2/model have one name, model"):
        distinct([Path("v1/model"), Path("v2/model")])


def test_a_dashboards_address_has_its_variables() -> None:
    assert link("http://g", "board", deployment="a b") == "http://g/d/board?var-deployment=a+b"
