"""Make the files of the examples that are no source: rows, weights and saved pipelines.

`python -m examples.make [FOLDER]`, with the environment of `docker/iris/requirements.txt`, whose
scikit-learn loads the pipelines. Everything is seeded. Data, as scikit-learn ships it: B. Efron
et al., "Least Angle Regression", Annals of Statistics 32 (2004), and W. N. Street, W. H. Wolberg,
O. L. Mangasarian, "Nuclear feature extraction for breast tumor diagnosis" (1993).
"""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 42


def make(folder: Path) -> None:
    """Write the files below `folder`, where the sources of the examples are."""
    disease_progression(folder / "disease-progression")
    tumour(folder / "tumour")


def disease_progression(folder: Path) -> None:
    """Two linear models of a disease's progress after a year: by age and sex, and by everything."""
    data = load_diabetes(scaled=False)
    seen, unseen, known, unknown = train_test_split(
        data.data, data.target, train_size=142, random_state=SEED
    )
    _rows(folder, data.feature_names, "progression", unseen, unknown)
    for name, columns in (("two-measurements", [0, 1]), ("ten-measurements", [*range(10)])):
        fitted = LinearRegression().fit(seen[:, columns], known)
        weights = {
            "columns": columns,
            "weights": [round(float(weight), 6) for weight in fitted.coef_],
            "intercept": round(float(fitted.intercept_), 6),
        }
        (folder / name / "weights.json").write_text(json.dumps(weights) + "\n")


def tumour(folder: Path) -> None:
    """Two pipelines whose score says malignant: by all measurements, and by the best one alone."""
    data = load_breast_cancer()
    names = data.target_names[data.target]
    seen, unseen, known, unknown = train_test_split(
        data.data, names, train_size=285, random_state=SEED
    )
    columns = [name.replace(" ", "_") for name in data.feature_names]
    _rows(folder, columns, "diagnosis", unseen, unknown)
    model = LogisticRegression(max_iter=1000)
    pipelines = {
        "all-measurements": make_pipeline(StandardScaler(), model),
        "one-measurement": make_pipeline(SelectKBest(k=1), model),
    }
    for name, pipeline in pipelines.items():
        joblib.dump(pipeline.fit(seen, known), folder / name / "model.joblib")


def _rows(
    folder: Path, names: Iterable[str], truth: str, rows: Any, truths: Sequence[object]
) -> None:
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, truth])
        writer.writerows([*row, said] for row, said in zip(rows.tolist(), truths, strict=True))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
