import csv
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris

from closedloop.models.train import (
    CHALLENGER,
    CHAMPION,
    CLASSES,
    PREPACKAGED,
    Report,
    held_out,
    main,
    train,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("trained") / "a folder"
    return folder, train(folder)


def _right(folder: Path, name: str) -> list[bool]:
    rows = held_out(folder)
    answers = joblib.load(folder / name).predict(np.array([row.features for row in rows]))
    return [bool(answer == row.label) for answer, row in zip(answers, rows, strict=True)]


def test_the_reported_accuracies_are_those_of_the_saved_files(
    trained: tuple[Path, Report],
) -> None:
    folder, report = trained
    for name, accuracy in report.accuracies.items():
        right = _right(folder, name)
        assert sum(right) / len(right) == accuracy
    assert set(report.accuracies) == {CHAMPION, CHALLENGER}


def test_the_two_models_differ_both_ways_on_unseen_rows(trained: tuple[Path, Report]) -> None:
    folder, report = trained
    pairs = list(zip(_right(folder, CHAMPION), _right(folder, CHALLENGER), strict=True))
    champion_only, challenger_only = pairs.count((True, False)), pairs.count((False, True))
    assert champion_only + challenger_only == report.disagreements
    assert champion_only > challenger_only > 0
    assert report.accuracies[CHAMPION] > 0.9


def test_unseen_rows_are_iris_rows_in_equal_shares(trained: tuple[Path, Report]) -> None:
    folder, report = trained
    rows = held_out(folder)
    data, target = load_iris(return_X_y=True)
    known = {(tuple(row), int(label)) for row, label in zip(data.tolist(), target, strict=True)}
    assert {(row.features, row.label) for row in rows} <= known
    assert report.held_out_rows + report.trained_rows == 150
    assert [sum(row.label == label for row in rows) for label in range(3)] == [25, 25, 25]


def test_both_files_of_unseen_rows_say_the_same(trained: tuple[Path, Report]) -> None:
    folder, _ = trained
    with (folder / "held-out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    features = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    read = [(tuple(float(line[name]) for name in features), int(line["label"])) for line in lines]
    assert read == [(row.features, row.label) for row in held_out(folder)]
    assert all(line["class"] == CLASSES[int(line["label"])] for line in lines)


def test_the_prepackaged_server_gets_the_champion(trained: tuple[Path, Report]) -> None:
    folder, _ = trained
    rows = np.array([row.features for row in held_out(folder)])
    scores = joblib.load(folder / PREPACKAGED).predict_proba(rows)
    assert scores.shape == (75, 3)
    assert (scores.argmax(axis=1) == joblib.load(folder / CHAMPION).predict(rows)).all()


def test_training_again_gives_the_same(trained: tuple[Path, Report], tmp_path: Path) -> None:
    folder, report = trained
    assert train(tmp_path) == report
    assert held_out(tmp_path) == held_out(folder)
    assert train(tmp_path, seed=report.seed + 1) != report


def test_the_command_reports_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path / "new")])
    said = capsys.readouterr().out
    assert f"{CHAMPION}: 71 of 75 unseen rows right" in said
    assert f"{CHALLENGER}: 60 of 75 unseen rows right" in said
