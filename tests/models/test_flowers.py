"""Simulated flowers: new, like the measured ones, and the same for the same seed."""

import math
from itertools import islice
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris

from closedloop.models.flowers import TrueShares, simulated, true_shares
from closedloop.models.train import CHALLENGER, CHAMPION, CLASSES, Row, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(folder)
    return folder


def drawn(count: int, seed: int = 1) -> list[Row]:
    return list(islice(simulated(seed), count))


def test_a_seed_gives_the_same_flowers_in_any_number() -> None:
    assert drawn(1500)[:700] == drawn(700)
    assert drawn(10, seed=1) != drawn(10, seed=2)


def test_the_same_flowers_on_every_machine() -> None:
    assert drawn(2, seed=11) == [
        Row((4.8802, 3.3795, 1.2724, 0.1344), 0),
        Row((4.7113, 3.2711, 1.4554, 0.1589), 0),
    ]


def test_no_two_flowers_are_alike_and_none_was_measured() -> None:
    flowers = drawn(200_000)
    measured = {tuple(row) for row in load_iris().data.tolist()}
    assert len({each.features for each in flowers} | measured) == 200_000 + len(measured)


def test_with_one_decimal_flowers_would_meet() -> None:
    rounded = [tuple(round(value, 1) for value in each.features) for each in drawn(450)]
    assert len(set(rounded)) < 450


def test_simulated_flowers_are_as_the_measured_ones() -> None:
    data, target = load_iris(return_X_y=True)
    flowers = drawn(60_000)
    features = np.log([each.features for each in flowers])
    labels = np.array([each.label for each in flowers])
    for kind in range(len(CLASSES)):
        ours, theirs = features[labels == kind], np.log(data[target == kind])
        assert len(ours) == pytest.approx(20_000, abs=5 * math.sqrt(20_000 * 2 / 3))
        error = theirs.std(axis=0) / math.sqrt(len(ours))
        assert (abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 5 * error).all()
        assert np.cov(ours.T) == pytest.approx(np.cov(theirs.T), rel=0.1, abs=1e-4)


def test_true_shares_are_the_models_own(trained: Path) -> None:
    shares = true_shares(trained, flowers=1024, seed=5)
    flowers = drawn(1024, seed=5)
    right = {
        name: joblib.load(trained / name).predict([each.features for each in flowers])
        == [each.label for each in flowers]
        for name in (CHAMPION, CHALLENGER)
    }
    one, other = right[CHAMPION], right[CHALLENGER]
    assert shares == TrueShares(
        1024, one.mean(), other.mean(), (one & ~other).mean(), (other & ~one).mean()
    )


def test_true_shares_of_the_models_that_are_deployed(trained: Path) -> None:
    shares = true_shares(trained)
    assert shares.champion == pytest.approx(0.956, abs=0.002)
    assert shares.challenger == pytest.approx(0.849, abs=0.003)
    # The two ways to say by how much one is better are one.
    assert shares.champion - shares.challenger == pytest.approx(
        shares.champion_only - shares.challenger_only
    )
    other = true_shares(trained, seed=7)
    assert other.champion_only == pytest.approx(shares.champion_only, abs=0.0033)
    assert other.challenger_only == pytest.approx(shares.challenger_only, abs=0.0033)
