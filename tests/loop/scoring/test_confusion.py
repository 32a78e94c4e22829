from collections import Counter
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from closedloop.loop.scoring import ConfusionMatrix

LABELS = st.sampled_from(["a", "b", "c"])
PAIRS = st.lists(st.tuples(LABELS, LABELS))


def matrix(pairs: list[tuple[str, str]]) -> ConfusionMatrix:
    return ConfusionMatrix(Counter(pairs))


def ratio(part: int, whole: int) -> float | None:
    return float(Fraction(part, whole)) if whole else None


def test_an_example_by_hand() -> None:
    # predicted, actual: 3 cats right, 1 cat called dog, 2 dogs right, 4 birds right
    m = ConfusionMatrix(
        {("cat", "cat"): 3, ("dog", "cat"): 1, ("dog", "dog"): 2, ("bird", "bird"): 4}
    )
    assert m.one_vs_rest("dog") == (2, 1, 0, 7)
    assert (m.precision("dog"), m.recall("dog")) == (2 / 3, 1.0)
    assert (m.specificity("dog"), m.f1("dog")) == (7 / 8, 4 / 5)
    assert m.accuracy == 9 / 10
    assert m.macro(m.recall) == pytest.approx((3 / 4 + 1 + 1) / 3)


def test_nothing_counted_is_undefined() -> None:
    m = ConfusionMatrix()
    assert m.accuracy is None
    assert m.classes == []
    assert m.macro(m.precision) is None
    assert (m.precision("a"), m.recall("a"), m.specificity("a"), m.f1("a")) == (None,) * 4


def test_an_undefined_measure_is_not_part_of_the_mean() -> None:
    m = matrix([("a", "b"), ("a", "a")])
    assert m.precision("b") is None
    assert m.macro(m.precision) == 1 / 2


@given(PAIRS)
def test_measures_follow_their_definitions(pairs: list[tuple[str, str]]) -> None:
    m = matrix(pairs)
    assert m.total == len(pairs)
    assert m.accuracy == ratio(sum(p == a for p, a in pairs), len(pairs))
    for label in "abc":
        tp = sum(p == label and a == label for p, a in pairs)
        fp = sum(p == label and a != label for p, a in pairs)
        fn = sum(p != label and a == label for p, a in pairs)
        tn = len(pairs) - tp - fp - fn
        assert m.one_vs_rest(label) == (tp, fp, fn, tn)
        assert m.precision(label) == ratio(tp, tp + fp)
        assert m.recall(label) == ratio(tp, tp + fn)
        assert m.specificity(label) == ratio(tn, tn + fp)
        assert m.f1(label) == ratio(2 * tp, 2 * tp + fp + fn)


@given(PAIRS, PAIRS)
def test_what_is_taken_back_leaves_no_trace(
    stay: list[tuple[str, str]], go: list[tuple[str, str]]
) -> None:
    m = matrix([*go, *stay])
    for predicted, actual in go:
        m.add(predicted, actual, -1)
    assert m == matrix(stay)
    assert m.counts() == dict(Counter(stay))
    assert m.classes == sorted({label for pair in stay for label in pair})
    assert (m.total, m.accuracy) == (len(stay), matrix(stay).accuracy)


@given(PAIRS.filter(bool))
def test_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    m = matrix(pairs)
    predicted, actual = [p for p, _ in pairs], [a for _, a in pairs]
    labels = m.classes
    assert [[m.counts().get((p, a), 0) for p in labels] for a in labels] == confusion_matrix(
        actual, predicted, labels=[*labels, "d"]
    )[:-1, :-1].tolist()
    assert m.accuracy == pytest.approx(accuracy_score(actual, predicted))
    for average in (None, "macro"):
        # An undefined measure is no part of our mean, and 0 or nan in scikit-learn's.
        theirs = precision_recall_fscore_support(
            actual, predicted, labels=labels, average=average, zero_division=float("nan")
        )[:3]
        for measure, values in zip((m.precision, m.recall, m.f1), theirs, strict=True):
            ours = m.macro(measure) if average else [measure(label) for label in labels]
            if average or None not in cast(list[object], ours):
                assert ours == pytest.approx(values)
