"""Samples of a moment, as Prometheus and the log would give them."""

from collections.abc import Mapping
from typing import Any

from closedloop.judging.comparison import Comparison
from closedloop.live.samples import QUERIES, Metrics, Objects
from closedloop.log.evaluate import Evaluation
from closedloop.loop.scoring import ConfusionMatrix
from closedloop.loop.scoring.verdict import STATES
from closedloop.notebook.dashboards import Series

SKLEARN = {
    "deployment_namespace": "seldon",
    "deployment_name": "sklearn",
    "predictor_name": "default",
}
LOW = SKLEARN | {"alertname": "ModelAccuracyLow"}
DEPLOYMENT: Mapping[str, Any] = {
    "metadata": {"name": "iris-perf"},
    "spec": {"predictors": [{"name": "logistic"}, {"name": "perceptron", "shadow": True}]},
}


def one(value: float, **labels: str) -> Series:
    return Series(labels, [(0.0, value)])


def told(
    at: float = 100.0, history: list[Series] | None = None, **answers: list[Series]
) -> Metrics:
    known = {name.replace("_", " "): found for name, found in answers.items()}
    return Metrics(at, {name: list[Series]() for name in QUERIES} | known, history or [])


def accuracy(*samples: tuple[float, float]) -> list[Series]:
    name = "model:accuracy:window30s"
    return [
        Series({"__name__": name + bound} | SKLEARN, [(at, share + by) for at, share in samples])
        for bound, by in (("", 0.0), (":lower", -0.1), (":upper", 0.1))
    ]


def evaluation(name: str, right: int, wrong: int) -> Evaluation:
    return Evaluation(name, right, wrong, ConfusionMatrix(), dict.fromkeys(STATES, 0))


def compared(champion_only: int, challenger_only: int, both: int = 50) -> Objects:
    found = Comparison(
        evaluation("logistic", both + champion_only, challenger_only),
        evaluation("perceptron", both + challenger_only, champion_only),
        both_right=both,
        champion_only=champion_only,
        challenger_only=challenger_only,
        both_wrong=0,
        champion_unpaired=0,
        challenger_unpaired=0,
    )
    return Objects(deployments=[DEPLOYMENT], comparison=found)
