import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from closedloop.loop.scoring.labels import LabelCounts

NAMES = ("a", "b", "c", "d")
SET = st.frozensets(st.sampled_from(NAMES))
ROWS = st.lists(st.tuples(SET, SET), max_size=15)
Rows = list[tuple[frozenset[str], frozenset[str]]]


def counted(rows: Rows) -> LabelCounts:
    counts = LabelCounts()
    for predicted, actual in rows:
        counts.add(predicted, actual)
    return counts


def matrix(sets: list[frozenset[str]]) -> np.ndarray:
    return np.array([[name in held for name in NAMES] for held in sets], dtype=int)


@given(ROWS.filter(bool))
def test_agrees_with_scikit_learn(rows: Rows) -> None:
    counts = counted(rows)
    predicted, actual = matrix([p for p, _ in rows]), matrix([a for _, a in rows])
    micro = precision_recall_fscore_support(actual, predicted, average="micro", zero_division=0)
    ours = (counts.micro_precision, counts.micro_recall, counts.micro_f1)
    assert [value or 0 for value in ours] == pytest.approx(micro[:3])
    single = precision_recall_fscore_support(actual, predicted, average=None, zero_division=0)
    for i, name in enumerate(NAMES):
        measures = (counts.precision(name), counts.recall(name), counts.f1(name))
        assert [value or 0 for value in measures] == pytest.approx([side[i] for side in single[:3]])
        tp, fp, fn, tn = counts.counts(name)
        assert tp + fp + fn + tn == counts.rows == len(rows)
        assert tp == (predicted[:, i] & actual[:, i]).sum()
        assert tn == ((1 - predicted[:, i]) & (1 - actual[:, i])).sum()


@given(ROWS, ROWS)
def test_what_is_taken_back_leaves_no_trace(kept: Rows, gone: Rows) -> None:
    counts, alone = counted([*kept, *gone]), counted(kept)
    for row in gone:
        counts.add(*row, -1)
    assert (counts.rows, counts.labels) == (alone.rows, alone.labels)
    assert [counts.counts(name) for name in NAMES] == [alone.counts(name) for name in NAMES]


def test_a_measure_without_cases_is_undefined() -> None:
    counts = counted([(frozenset("a"), frozenset())])
    assert (counts.precision("a"), counts.recall("a"), counts.f1("a")) == (0, None, 0)
    assert (counts.specificity("a"), counts.specificity("b")) == (0, 1)
    assert (counts.micro_precision, counts.micro_recall) == (0, None)
    assert LabelCounts().micro_f1 is None
