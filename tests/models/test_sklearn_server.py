from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop.models.train import PREPACKAGED, train
from tests.models.wrapper import FLOWERS, SKLEARN, Wrapper, wrapper

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def model(model_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wrapper]:
    # Trained with this process' numpy, loaded with the older one of the wrapper.
    folder = tmp_path_factory.mktemp("a model")
    train(folder)
    assert (folder / PREPACKAGED).is_file()
    with wrapper(model_python, SKLEARN, {"model_uri": f"file://{folder}"}) as running:
        yield running


def test_it_answers_with_probabilities_by_column(model: Wrapper) -> None:
    said = model.predict(*FLOWERS).json()
    assert said["data"]["names"] == ["t:0", "t:1", "t:2"]
    assert [max(range(3), key=row.__getitem__) for row in said["data"]["ndarray"]] == [0, 1, 2]
    assert all(sum(row) == pytest.approx(1) for row in said["data"]["ndarray"])
    assert said["meta"] == {"requestPath": {"classifier": "closedloop/iris:0.1.0"}}


def test_a_tensor_is_answered_with_a_tensor(model: Wrapper) -> None:
    body = {"data": {"tensor": {"shape": [1, 4], "values": FLOWERS[0]}}}
    assert model.post("/predict", body).json()["data"]["tensor"]["shape"] == [1, 3]


def test_a_puid_in_the_body_comes_back(model: Wrapper) -> None:
    body = {"meta": {"puid": "abc"}, "data": {"ndarray": [FLOWERS[0]]}}
    assert model.post("/predict", body).json()["meta"]["puid"] == "abc"


def test_the_wrong_number_of_features_is_what_seldon_says(model: Wrapper) -> None:
    answer = model.predict([1, 2])
    assert answer.status_code == 400
    assert answer.json()["status"] == {
        "code": -1,
        "info": "Unknown data type returned as payload (must be list or np array):None",
        "reason": "MICROSERVICE_BAD_DATA",
        "status": 1,
    }


def test_feedback_is_taken_and_ignored(model: Wrapper) -> None:
    assert model.feedback({"reward": 1}).json()["data"] == {"tensor": {"shape": [0]}}
    judged = {"request": {"data": {"ndarray": [FLOWERS[0]]}}, "reward": 1}
    assert model.feedback(judged).json()["data"] == {"ndarray": []}
