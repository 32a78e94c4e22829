import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from closedloop.models.train import CHALLENGER, CHAMPION, held_out
from closedloop.notebook.waiting import until
from tests.models.wrapper import FLOWERS, Wrapper, wrapper

pytestmark = pytest.mark.embedded

SETOSA, VERSICOLOR, VIRGINICA = FLOWERS


@pytest.fixture(scope="module")
def model(model_python: Path) -> Iterator[Wrapper]:
    """One wrapper for all tests that look at how the score moves, not at where it stands."""
    with wrapper(model_python) as running:
        yield running


def _about(row: object, truth: object) -> dict[str, object]:
    return {"request": {"data": {"ndarray": [row]}}, "truth": {"data": {"ndarray": [[truth]]}}}


def _score(model: Wrapper) -> tuple[int, int]:
    return int(model.value("correct")), int(model.value("incorrect"))


class Moved:
    """How far a wrapper's score moved since this was made."""

    def __init__(self, model: Wrapper) -> None:
        self._model = model
        self._before = _score(model)

    def __call__(self) -> tuple[int, int]:
        (correct, incorrect), (before, before_incorrect) = _score(self._model), self._before
        return correct - before, incorrect - before_incorrect


@pytest.fixture
def moved(model: Wrapper) -> Moved:
    return Moved(model)


def test_another_model_and_other_classes_by_parameter_are_counted_exactly(
    model_python: Path,
) -> None:
    """Seven correct and ninety-three incorrect are exactly that, from the start."""
    output = {"kind": "class", "classes": ["a", "b", "c"], "codes": [0, 1, 2], "truth": "name"}
    parameters = {"output": json.dumps(output), "model_name": CHALLENGER}
    with wrapper(model_python, parameters=parameters) as model:
        # Every series is there from the start, as zero.
        assert _score(model) == (0, 0)
        assert [sample.value for sample in model.samples("confusion_matrix")] == [0] * 9
        for name in ("precision", "recall", "specificity", "f1"):
            assert [sample.value for sample in model.samples(name)] == [0, 0, 0]
        for _ in range(7):
            assert model.feedback({"reward": 0, **_about(SETOSA, "a")}).status_code == 200
        for _ in range(93):
            assert model.feedback({"reward": 0, **_about(SETOSA, "c")}).status_code == 200
        assert model.feedback(_about(SETOSA, 0)).status_code == 400
        assert _score(model) == (7, 93)
        assert model.value("accuracy") == 0.07
        assert model.value("confusion_matrix", predicted="a", actual="a") == 7
        assert model.value("confusion_matrix", predicted="a", actual="c") == 93
        assert model.value("precision", **{"class": "a"}) == 0.07
        assert model.value("recall", **{"class": "a"}) == 1
        assert model.value("specificity", **{"class": "c"}) == 1
        assert model.value("f1", **{"class": "a"}) == pytest.approx(2 * 7 / (2 * 7 + 93))
        folder = model_python.parent.parent / "share" / "closedloop" / "models"
        rows = held_out(folder)
        answers = model.predict(*(row.features for row in rows)).json()["data"]["ndarray"]
    right = sum(answer == row.label for answer, row in zip(answers, rows, strict=True))
    report = json.loads((folder / "report.json").read_text())
    assert right / len(rows) == report["accuracies"][CHALLENGER] < report["accuracies"][CHAMPION]


def test_a_series_is_there_once_whatever_was_called(model: Wrapper) -> None:
    model.predict(SETOSA)
    requests.get(f"{model.url}/health/status", timeout=60)
    model.feedback(_about(SETOSA, 0))
    (sample,) = model.samples("correct")
    assert sample.labels["method"] == "feedback"
    assert (sample.labels["deployment_name"], sample.labels["predictor_name"]) == (
        "iris",
        "default",
    )


def test_it_answers_with_class_values_and_says_what_they_mean(model: Wrapper) -> None:
    assert model.predict(SETOSA, VERSICOLOR, VIRGINICA).json()["data"] == {
        "names": [],
        "ndarray": [0, 1, 2],
    }
    metadata = requests.get(f"{model.url}/metadata", timeout=60).json()
    assert metadata["custom"] == {"classes": "0 setosa, 1 versicolor, 2 virginica"}


def test_the_answer_quoted_in_the_feedback_is_scored(model: Wrapper, moved: Moved) -> None:
    model.feedback({**_about(SETOSA, 1), "response": {"data": {"ndarray": [1]}}})
    assert moved() == (1, 0)
    scores = {"response": {"data": {"ndarray": [[-0.1, 7.5, 0.2]]}}}
    model.feedback({**scores, "truth": {"data": {"ndarray": [2]}}})
    assert moved() == (1, 1)


def test_an_answer_it_remembers_needs_only_the_truth(model: Wrapper, moved: Moved) -> None:
    model.predict(SETOSA, VIRGINICA, puid="remembered")
    truths = {"truth": {"data": {"ndarray": [[0], [1]]}}}
    assert model.feedback(truths, "remembered").status_code == 200
    assert moved() == (1, 1)


def test_what_it_answered_itself_counts_before_what_is_quoted(model: Wrapper, moved: Moved) -> None:
    # A shadow gets feedback that quotes the champion.
    model.predict(SETOSA, puid="mirrored")
    model.feedback({**_about(SETOSA, 1), "response": {"data": {"ndarray": [1]}}}, "mirrored")
    assert moved() == (0, 1)


def test_a_repetition_counts_once_and_a_correction_moves_it(model: Wrapper, moved: Moved) -> None:
    for truth in (0, 0, 2):
        model.feedback(_about(SETOSA, truth), "amended")
    assert moved() == (0, 1)
    model.feedback(_about(SETOSA, 0), "amended")
    assert moved() == (1, 0)


def test_a_reward_without_truth_is_right_wrong_or_a_measure(model: Wrapper, moved: Moved) -> None:
    def in_matrix() -> float:
        return sum(sample.value for sample in model.samples("confusion_matrix"))

    before, measures = in_matrix(), model.value("unscorable")
    for reward in (1, 0, -1):
        message = {"request": {"data": {"ndarray": [SETOSA]}}, "reward": reward}
        assert model.feedback(message).status_code == 200
    assert moved() == (1, 1)
    assert model.value("unscorable") == measures + 1
    assert in_matrix() == before


def test_a_truth_may_be_a_name_and_a_bad_one_costs_no_other(model: Wrapper, moved: Moved) -> None:
    rows = {"request": {"data": {"ndarray": [SETOSA, VERSICOLOR, VIRGINICA]}}}
    unscorable = model.value("unscorable")
    truths = {"truth": {"data": {"ndarray": ["setosa", -1, "unknown"]}}}
    assert model.feedback({**rows, **truths}).status_code == 200
    assert moved() == (1, 0)
    assert model.value("unscorable") == unscorable + 2


TRUTH = {"truth": {"data": {"ndarray": [0]}}}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (TRUTH, "the feedback carries neither response nor request"),
        ({}, "neither reward nor truth"),
        (_about([1, 2, 3], 0), "rows of 4 numbers"),
        (_about(["a", "b", "c", "d"], 0), "rows of 4 numbers"),
        (_about(SETOSA, 0.5), "none of the declared classes"),
        ({**TRUTH, "request": {"data": {"ndarray": [SETOSA, SETOSA]}}}, "about 1 rows"),
        ({**TRUTH, "unknown": 1}, "has no field named"),
        ({**TRUTH, "reward": True, "request": 3}, "Invalid JSON"),
    ],
)
def test_feedback_that_cannot_be_scored_is_refused(
    model: Wrapper, moved: Moved, message: object, said: str
) -> None:
    answer = model.feedback(message)
    assert answer.status_code == 400
    assert said in answer.json()["status"]["info"]
    assert moved() == (0, 0)


@pytest.mark.parametrize("rows", [[], [1, 2, 3, 4], [[1, 2, 3]], [[None] * 4]])
def test_a_request_that_is_no_flower_is_refused(model: Wrapper, rows: list[object]) -> None:
    answer = model.predict(*rows)
    assert answer.status_code == 400
    assert "rows of 4 numbers" in answer.json()["status"]["info"]
    assert model.predict(SETOSA).json()["data"]["ndarray"] == [0]


def test_rows_of_different_lengths_are_an_error_of_the_wrapper_and_no_more(model: Wrapper) -> None:
    assert model.predict([1, 2], [3]).status_code == 500
    assert model.predict(SETOSA).json()["data"]["ndarray"] == [0]


def test_two_workers_have_a_part_of_the_score_each(model_python: Path) -> None:
    with wrapper(model_python, GUNICORN_WORKERS="2") as model:

        def judge() -> list[float]:
            assert model.feedback(_about(SETOSA, 0)).status_code == 200
            return [sample.value for sample in model.samples("correct")]

        sent = itertools.count(1)
        values = until(
            lambda: (next(sent), judge())[1],
            lambda values: len(values) == 2 and min(values) > 0,
            what="feedback at both workers",
            every=0,
        )
        total = next(sent) - 1
        assert sum(values) == total
        assert max(values) < total
        workers = {sample.labels["worker_id"] for sample in model.samples("correct")}
        assert len(workers) == 2
