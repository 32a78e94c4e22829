"""What each notebook must have recorded, whichever platform it ran on."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

Recorded = Mapping[str, Any]


def platform(recorded: Recorded) -> None:
    assert recorded["parts"] >= 7
    assert recorded["not ready"] == 0


def request_logging(recorded: Recorded) -> None:
    assert recorded["logged instance"] == [6.6, 3.0, 5.6, 2.0]
    assert recorded["feedback tags"] == {"user": "Seldon Admin", "date": "11/07/2020"}
    assert recorded["correct"] is True
    assert recorded["dead letter reason"] == "bad_payload"
    assert recorded["ready"] == "True"
    assert "Started" in recorded["events of the pod"]


def feedback_metrics(recorded: Recorded) -> None:
    assert recorded["documents"] == 100
    assert recorded["feedback"] == 63
    assert recorded["accuracy"] == 46 / 63
    assert [row[1:] for row in recorded["by date"]] == [[46, 63], [0, 0], [0, 0], [46, 63]]
    assert recorded["confusion matrix"] == [
        ["setosa", "setosa", 16],
        ["setosa", "versicolor", 5],
        ["versicolor", "versicolor", 15],
        ["versicolor", "virginica", 6],
        ["virginica", "setosa", 6],
        ["virginica", "virginica", 15],
    ]
    # By hand, from that matrix: precision, recall, specificity and F1 of each class.
    by_class = {
        "setosa": [16 / 21, 16 / 22, 36 / 41, 32 / 43],
        "versicolor": [15 / 21, 15 / 20, 37 / 43, 30 / 41],
        "virginica": [15 / 21, 15 / 21, 36 / 42, 30 / 42],
    }
    seen = {name: values for name, *values in recorded["by class"]}
    assert seen.keys() == by_class.keys()
    for name, values in by_class.items():
        assert seen[name] == pytest.approx(values), name
    assert recorded["macro"] == pytest.approx(
        {"precision": 46 / 63, "recall": 0.730519, "specificity": 0.865219, "f1": 0.730060},
        abs=5e-7,
    )
    # The same by scikit-learn, over the models' first 60 unseen rows.
    assert recorded["regression"] == pytest.approx(
        {
            "mean absolute error": 43.636140,
            "root mean squared error": 53.164022,
            "bias": -2.635336,
            "within the tolerance": 40,
        },
        abs=1e-4,
    )
    assert recorded["score with a threshold"] == [
        ["benign", "benign", 41],
        ["benign", "malignant", 1],
        ["malignant", "malignant", 18],
    ]
    assert recorded["reason"] == "truth_unknown_class"
    # scipy.stats.binomtest(46, 63).proportion_ci(method="wilson")
    assert recorded["interval"] == pytest.approx([0.609701, 0.824162], abs=5e-7)


def live_metrics(recorded: Recorded) -> None:
    assert recorded["alert"] == "ModelAccuracyLow"
    assert recorded["counted"] == recorded["sent"]
    assert sum(recorded["sent"].values()) >= 250
    assert recorded["matrices agree"] is True
    # Not known for ten minutes after a restart, such as that of a run before.
    assert set(recorded["events lost"].values()) <= {0}
    assert recorded["not counted"] == {"unscorable": 1, "counts moved": False}
    started, started_again = recorded["metrics server started"]
    assert started < started_again


def metrics_in_the_model(recorded: Recorded) -> None:
    assert recorded["held out"] == 75
    assert recorded["correct and incorrect"] == [7, 93]
    assert recorded["accuracy"] == 7 / 100


def two_models(recorded: Recorded) -> None:
    # Both right, champion alone, challenger alone, both wrong: 75 measured flowers, each once.
    assert recorded["held out"] == [58, 13, 2, 2]
    assert recorded["held out evidence"] == 19.5
    assert recorded["held out decision"] == "undecided"
    assert recorded["repeats left out"] == 75
    assert recorded["evidence of replay"] == 1264
    assert recorded["rows the client saw right"] == 71
    # New flowers until the evidence decides, and what is true of 200,000 of them.
    assert recorded["streamed"] == [118, 22, 6, 4]
    assert recorded["decision"] == "keep"
    truly = {"logistic": 0.9558, "perceptron": 0.8481}
    assert recorded["truly right"] == pytest.approx(truly, abs=5e-4)
    alone = {"logistic": 0.1338, "perceptron": 0.0262}
    assert recorded["truly alone right"] == pytest.approx(alone, abs=5e-4)
    # 2 x 75 measured flowers, answers to repeats among them, and 150 simulated ones.
    told = {"logistic": [282, 18], "perceptron": [244, 56]}
    assert recorded["told by the metrics server"] == told
    assert recorded["told by the models"] == told
    assert recorded["false alarms, peeking"] == 0.2669
    assert recorded["false alarms, evidence"] == 0.034
    assert recorded["swapped"] == ["logistic", "perceptron"]
    assert recorded["streamed the other way"] == [122, 5, 22, 1]
    assert recorded["second decision"] == "promote"
    assert recorded["failed while promoting"] == 0
    assert (recorded["serving"], recorded["shadow"]) == ("logistic", "perceptron")
    assert recorded["the shadow saw fewer"] is True
    assert recorded["failed while weighing"] == 0


def history(recorded: Recorded) -> None:
    assert recorded["correct"] == {"logistic": 73, "perceptron": 65}
    places = ("log", "metrics server", "model")
    assert recorded["moved by one correction"] == {key: [-1, 1] for key in places}
    assert recorded["moved by a batch"] == {key: [-10, 10] for key in places}
    assert recorded["versions"] == 2
    assert recorded["late truth"] == {"applied": 1, "scored": 1}
    assert recorded["truth before its answer"] == {"applied": 1, "unmatched": 1}
    assert recorded["early truth, joined"] == {"applied": 1, "scored": 1}
    assert recorded["the same truth again"] == {"corrected": 1}
    assert recorded["one event, delivered three times"] == {"corrected": 1, "duplicate": 2}
    assert recorded["truth about nothing"] == {"applied": 1, "unmatched": 1}
    assert recorded["the model's answer to it"] == 400
    assert recorded["refused rows"] == 3
    assert sum(recorded["history"].values()) == 1000
    assert recorded["rows by hour"] == 48


def disease_progression(recorded: Recorded) -> None:
    # The same by the examples' own weights, over the rows in the file's order.
    assert recorded["champion alone"] == [35, 55]
    errors = {"mean_absolute_error": 61.1243, "root_mean_squared_error": 70.8355, "bias": 1.2751}
    assert recorded["measures"] == pytest.approx(errors, abs=1e-3)
    assert recorded["matrix"] == []
    # Both right, champion alone, challenger alone, both wrong.
    assert recorded["streamed"] == [21, 2, 22, 15]
    assert (recorded["decision"], recorded["serving"]) == ("promote", "ten-measurements")


def tumour(recorded: Recorded) -> None:
    # The same by the examples' own pipelines.
    assert recorded["champion alone"] == [84, 1]
    assert recorded["measures"] == {}
    assert recorded["matrix"] == [
        ["benign", "benign", 54],
        ["benign", "malignant", 1],
        ["malignant", "malignant", 30],
    ]
    assert recorded["streamed"] == [66, 13, 1, 0]
    assert (recorded["decision"], recorded["serving"]) == ("keep", "all-measurements")


EXPECTED: Mapping[str, Callable[[Recorded], None]] = {
    "01": platform,
    "02": request_logging,
    "03": feedback_metrics,
    "04": live_metrics,
    "05": metrics_in_the_model,
    "06": two_models,
    "07": history,
    "08": disease_progression,
    "08-tumour": tumour,
}
