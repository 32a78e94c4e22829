"""Train two models that are not iris-shaped: a regression, and a score with a threshold.

Each has a folder under `out`: `model.joblib`, which Seldon's scikit-learn server loads, and
`held-out.ndjson`, rows that it has never seen with their truths. Data, as scikit-learn ships it:

- `diabetes`: how far the disease has gone after a year, 25 to 346, from ten measurements.
  B. Efron et al., "Least Angle Regression", Annals of Statistics 32 (2004).
- `breast-cancer`: malignant or benign, from thirty measurements of cell nuclei. W. N. Street,
  W. H. Wolberg, O. L. Mangasarian, "Nuclear feature extraction for breast tumor diagnosis" (1993).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

REGRESSION = "diabetes"
SCORE = "breast-cancer"
MODEL = "model.joblib"
HELD_OUT = "held-out.ndjson"


@dataclass(frozen=True, slots=True)
class Case:
    """One row: its features in the data set's order, and the truth about it: a number, or a
    class's name."""

    features: tuple[float, ...]
    truth: float | str


def train_others(out: Path, seed: int = 42) -> None:
    """Train both and write their folders."""
    data, target = load_diabetes(return_X_y=True)
    _train(out / REGRESSION, Ridge(alpha=0.1), data, [float(value) for value in target], seed)
    cancer = load_breast_cancer()
    names = [str(cancer.target_names[index]) for index in cancer.target]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    _train(out / SCORE, model, cancer.data, names, seed)


def held_out_cases(folder: Path) -> list[Case]:
    """The rows that were kept apart, of one of the two folders."""
    with (folder / HELD_OUT).open() as lines:
        rows = [json.loads(line) for line in lines]
    return [Case(tuple(row["features"]), row["truth"]) for row in rows]


def _train(folder: Path, model: Any, data: Any, truths: Sequence[object], seed: int) -> None:
    seen, unseen, known, unknown = train_test_split(data, truths, test_size=0.5, random_state=seed)
    folder.mkdir(parents=True, exist_ok=True)
    # Names sort as `benign`, `malignant`: the score is that of `malignant`.
    joblib.dump(model.fit(seen, known), folder / MODEL)
    with (folder / HELD_OUT).open("w") as file:
        for row, truth in zip(unseen.tolist(), unknown, strict=True):
            file.write(json.dumps({"features": row, "truth": truth}) + "\n")
