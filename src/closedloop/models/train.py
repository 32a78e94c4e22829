"""Train the two iris models, keep apart rows they have never seen, say how good they are.

`python -m closedloop.models.train [--out FOLDER]` writes

- `iris-lr.joblib`, `iris-percept.joblib`: champion and challenger,
- `model.joblib`: the champion, for the prepackaged scikit-learn server,
- `held-out.csv` and `held-out.ndjson`: the unseen rows,
- `report.json`: the models, their training rows, and both accuracies on the unseen rows,
- `diabetes/` and `breast-cancer/`: see `closedloop.models.others`.

Everything is seeded: the same scikit-learn gives the same files' content. Data:
R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals
of Eugenics 7 (1936), as scikit-learn ships it.
"""

import argparse
import csv
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from closedloop.models.folder import model_folder
from closedloop.models.others import train_others

CHAMPION = "iris-lr.joblib"
CHALLENGER = "iris-percept.joblib"
PREPACKAGED = "model.joblib"
CLASSES = ("setosa", "versicolor", "virginica")
SEED = 42


@dataclass(frozen=True, slots=True)
class Row:
    """One flower: its measurements in cm in the data set's order, and its class index."""

    features: tuple[float, ...]
    label: int


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a training run. `accuracies` are on the held-out rows, by file name;
    `disagreements` counts the held-out rows of which exactly one model is right."""

    sklearn: str
    seed: int
    trained_rows: int
    held_out_rows: int
    accuracies: dict[str, float]
    disagreements: int


def train(out: Path, seed: int = SEED) -> Report:
    """Train, write everything to the folder `out`, which is made, and report."""
    data, target = load_iris(return_X_y=True)
    # Half is kept back: iris is easy to learn, and the models are to differ on the rest.
    seen, unseen, seen_labels, unseen_labels = train_test_split(
        data, target, test_size=0.5, stratify=target, random_state=seed
    )
    models = {
        CHAMPION: LogisticRegression(max_iter=1000),
        CHALLENGER: Perceptron(random_state=seed),
    }
    fitted = {
        name: Pipeline([("clf", model)]).fit(seen, seen_labels) for name, model in models.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, model in {**fitted, PREPACKAGED: fitted[CHAMPION]}.items():
        joblib.dump(model, out / name)
    _write_rows(out, unseen, unseen_labels)
    right = {name: model.predict(unseen) == unseen_labels for name, model in fitted.items()}
    report = Report(
        sklearn=sklearn.__version__,
        seed=seed,
        trained_rows=len(seen),
        held_out_rows=len(unseen),
        accuracies={name: float(hits.mean()) for name, hits in right.items()},
        disagreements=int((right[CHAMPION] != right[CHALLENGER]).sum()),
    )
    train_others(out, seed)
    (out / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    return report


def held_out(folder: Path) -> list[Row]:
    """The rows that `train` kept apart."""
    with (folder / "held-out.ndjson").open() as lines:
        rows = [json.loads(line) for line in lines]
    return [Row(tuple(row["features"]), row["label"]) for row in rows]


def _write_rows(out: Path, features: Any, labels: Any) -> None:
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in load_iris().feature_names]
    with (out / "held-out.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "label", "class"])
        for row, label in zip(features.tolist(), labels.tolist(), strict=True):
            writer.writerow([*row, label, CLASSES[label]])
    with (out / "held-out.ndjson").open("w") as file:
        for row, label in zip(features.tolist(), labels.tolist(), strict=True):
            said = {"features": row, "label": label, "class": CLASSES[label]}
            file.write(json.dumps(said) + "\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m closedloop.models.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, default=model_folder(), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    said = parser.parse_args(arguments)
    report = train(said.out, said.seed)
    for name, accuracy in report.accuracies.items():
        hits = round(accuracy * report.held_out_rows)
        sys.stdout.write(f"{name}: {hits} of {report.held_out_rows} unseen rows right\n")
    sys.stdout.write(f"exactly one of the two right: {report.disagreements} rows\n")


if __name__ == "__main__":
    main()
