"""What rows say of a class, of several labels and of measures, declared and not."""

from typing import Any

import pytest

from closedloop.loop.scoring.reading import ADVICE, REASONS, Reason, Said, read_answer
from closedloop.loop.scoring.verdict import Verdict
from tests.loop.scoring.verdicts import FLOWER, IRIS, SHARES, Declared, seen

T = ("t:0", "t:1", "t:2")
ODD = {"kind": "probabilities", "classes": ["1", "2", "3"]}
CODES = {"kind": "probabilities", "classes": [1, 2, 3]}
ONE_OF = {"kind": "class", "classes": [*IRIS]}
YES = {"kind": "probabilities", "classes": ["no", "yes"]}
SCORE = {"kind": "score", "threshold": 0.5}
SIGN = {"kind": "class", "classes": [-1, 1]}
TRUE = {"kind": "class", "classes": [False, True]}
COLUMN = {"kind": "class", "classes": ["a", "b", "c"], "column": "class"}
BIG = {"kind": "class", "classes": [2**53, 2**53 + 1]}

VIRGINICA = ("virginica", "virginica")

SCORED: list[tuple[Declared | None, object, object, Any, Any, tuple[str, str]]] = [
    # Probabilities, truths in every form.
    *(
        (FLOWER, SHARES, truth, T, (), VIRGINICA)
        for truth in (
            "virginica", ["virginica"], [["virginica"]], "2", ["2"], 2, 2.0, "2.0", [2], [[2]],
            [0, 0, 1], [[0, 0, 1]], [0.0, 0.0, 1.0], [False, False, True],
            {"class": "virginica"}, {"class": 2},
            {"virginica": 1, "setosa": 0, "versicolor": 0},
        )
    ),
    (FLOWER, SHARES, "setosa", T, (), ("virginica", "setosa")),
    (FLOWER, [0.7, 0.1, 0.2], 2, ("virginica", "setosa", "versicolor"), (), VIRGINICA),
    (FLOWER, SHARES, [1, 0, 0], T, ("virginica", "setosa", "versicolor"), VIRGINICA),
    (FLOWER, SHARES, [0, 0, 1], IRIS, T, VIRGINICA),
    (FLOWER, dict(zip(IRIS, SHARES, strict=True)), 2, (), (), VIRGINICA),
    (FLOWER, {"virginica": 0.7, "setosa": 0.1, "versicolor": 0.2}, 2, (), (), VIRGINICA),
    (FLOWER, [["0.1", "0.2", "0.7"]], 2, T, (), VIRGINICA),
    (FLOWER, [[0.1], [0.2], [0.7]], 2, T, (), VIRGINICA),
    # Rounded, and in single precision.
    (FLOWER, [0.333, 0.333, 0.333], 0, T, (), ("setosa", "setosa")),
    (FLOWER, [0.1, 0.2, 0.709], 2, T, (), VIRGINICA),
    (FLOWER, [-1e-9, 0, 1.0000001192092896], 2, T, (), VIRGINICA),
    (FLOWER, [0.5, 0.5, 0], "setosa", T, (), ("setosa", "setosa")),
    # Names that look like numbers.
    ({**ODD, "truth": "name"}, SHARES, 2, (), (), ("3", "2")),
    ({**ODD, "truth": "index"}, SHARES, 2, (), (), ("3", "3")),
    (ODD, SHARES, "2", (), (), ("3", "2")),
    (CODES, SHARES, 2, (), (), ("3", "2")),
    (CODES, SHARES, "2", (), (), ("3", "2")),
    (CODES, SHARES, 3.0, (), (), ("3", "3")),
    ({**CODES, "truth": "index"}, SHARES, 2, (), (), ("3", "3")),
    ({"kind": "class", "classes": ["0", "1"]}, 1, "1", (), (), ("1", "1")),
    ({"kind": "class", "classes": ["01234", "1234"], "truth": "name"}, "01234", "1234", (), (),
     ("01234", "1234")),
    ({"kind": "class", "classes": ["nan", "NaN"]}, "nan", "NaN", (), (), ("nan", "NaN")),
    ({**ONE_OF, "codes": [10, 20, 30]}, 20, 30.0, (), (), ("versicolor", "virginica")),
    ({**ONE_OF, "codes": [10, 20, 30]}, 20, "setosa", (), (), ("versicolor", "setosa")),
    ({**ONE_OF, "codes": [0.5, 1.5, 2.5]}, 1.5, 2.5, (), (), ("versicolor", "virginica")),
    ({"kind": "class", "classes": [0.5, 1.5]}, 0.5, "1.5", (), (), ("0.5", "1.5")),
    (BIG, 2**53 + 1, str(2**53 + 1), (), (), (str(2**53 + 1),) * 2),
    (BIG, 2**53, 2**53 + 1, (), (), (str(2**53), str(2**53 + 1))),
    # A lone probability, and scores.
    (YES, [0.97], 1, (), (), ("yes", "yes")),
    (YES, [[0.03]], "no", (), (), ("no", "no")),
    (YES, 0.5, 0, (), (), ("no", "no")),
    ({**YES, "threshold": 0.3}, [0.7, 0.3], 1, (), (), ("yes", "yes")),
    ({**YES, "threshold": 0.9}, [0.11, 0.89], 1, (), (), ("no", "yes")),
    (SCORE, 0.5, 1, (), (), ("1", "1")),
    (SCORE, 0.49999999, 1, (), (), ("0", "1")),
    (SCORE, [[-3.5]], [0], (), (), ("0", "0")),
    (SCORE, "0.97", "1", (), (), ("1", "1")),
    (SCORE, 0.97, True, (), (), ("1", "1")),
    ({**SCORE, "classes": ["no", "yes"]}, [0.97], "yes", (), (), ("yes", "yes")),
    ({**SCORE, "classes": ["no", "yes"], "column": 1}, ["id", 0.2], 0, (), (), ("no", "no")),
    # Columns.
    (COLUMN, [2, 0.93], 2, ("class", "proba"), (), ("c", "c")),
    (COLUMN, [0.93, 2], "c", ("proba", "class"), (), ("c", "c")),
    (COLUMN, {"class": 2, "proba": 0.93}, 2, (), (), ("c", "c")),
    (COLUMN, [{"class": 2, "proba": 0.93}], {"class": 1}, (), (), ("c", "b")),
    (COLUMN, [2, 0.93], [1, 1.0], ("class", "proba"), ("class", "proba"), ("c", "b")),
    (COLUMN, [2, 0.93], [0, 1, 0], ("class", "proba"), (), ("c", "b")),
    ({**COLUMN, "column": 0}, [2, 0.93], 1, (), (), ("c", "b")),
    ({"kind": "class", "classes": ["a", "b"], "column": "class"}, [1, 0.93], [0, 1.0],
     ("class", "proba"), ("class", "proba"), ("b", "a")),
    ({**YES, "column": ["no", "yes"]}, [0.85, 0.15, 3.65], "no", ("no", "yes", "eta"), (),
     ("no", "no")),
    ({**YES, "column": ["no", "yes"]}, [3.65, 0.15, 0.85], [0, 1], ("eta", "yes", "no"), (),
     ("no", "yes")),
    ({**YES, "column": ["no", "yes"]}, {"yes": 0.2, "eta": 3, "no": 0.8}, {"no": 1, "yes": 0}, (),
     (), ("no", "no")),
    ({**YES, "column": "yes"}, [3.65, 0.9], "yes", ("eta", "yes"), (), ("yes", "yes")),
    ({**FLOWER, "column": "proba"}, [2, SHARES], 2, ("predict", "proba"), (), VIRGINICA),
    # Classes by name, code, index, boolean.
    (ONE_OF, 2, "virginica", (), (), VIRGINICA),
    (ONE_OF, {"class": "virginica"}, 2, (), (), VIRGINICA),
    (ONE_OF, [-4.0, 1.5, 2.5], 2, (), (), VIRGINICA),
    (ONE_OF, [2.5, -4.0, 1.5], 2, ("virginica", "setosa", "versicolor"), (), VIRGINICA),
    ({**ONE_OF, "answer": "index", "truth": "name"}, 2, "virginica", (), (), VIRGINICA),
    (SIGN, -1, -1, (), (), ("-1", "-1")),
    (SIGN, 1.0, "-1", (), (), ("1", "-1")),
    (SIGN, "+1", 1, (), (), ("1", "1")),
    (TRUE, True, True, (), (), ("true", "true")),
    (TRUE, 1, False, (), (), ("true", "false")),
    (TRUE, "true", 0, (), (), ("true", "false")),
    ({"kind": "class", "classes": ["false", "true"]}, True, "false", (), (), ("true", "false")),
    ({"kind": "class", "classes": [0, 1]}, 1, True, (), (), ("1", "1")),
    # Undeclared, and certain.
    (None, SHARES, 2, T, (), ("t:2", "t:2")),
    (None, SHARES, [0, 0, 1], T, T, ("t:2", "t:2")),
    (None, SHARES, [0, 0, 1], (), (), ("2", "2")),
    (None, SHARES, 0, (), (), ("2", "0")),
    (None, SHARES, "setosa", IRIS, (), ("virginica", "setosa")),
    (None, SHARES, [1, 0, 0], IRIS, ("virginica", "setosa", "versicolor"), VIRGINICA),
    (None, SHARES, 1, ("0", "1", "2"), (), ("2", "1")),
    (None, SHARES, "20", ("10", "20", "30"), (), ("30", "20")),
    (None, [0.5, 0.5], 0, (), (), ("0", "0")),
    (None, "cat", "cat", (), (), ("cat", "cat")),
    (None, [["cat"]], ["dog"], (), (), ("cat", "dog")),
    (None, "unknown", "unknown", (), (), ("unknown", "unknown")),
    (None, "1", "1", (), (), ("1", "1")),
    (None, "-1", ["2"], (), (), ("-1", "2")),
    (None, True, False, (), (), ("true", "false")),
]  # fmt: skip


@pytest.mark.parametrize(("said", "answer", "truth", "names", "true_names", "pair"), SCORED)
def test_a_class_that_is_certain_is_scored(
    said: Declared | None,
    answer: object,
    truth: object,
    names: tuple[str, ...],
    true_names: tuple[str, ...],
    pair: tuple[str, str],
) -> None:
    verdict = seen(said, answer, truth, names, true_names)
    assert (verdict.state, verdict.pair) == ("scored", pair)
    assert verdict.correct is (pair[0] == pair[1])


UNSCORABLE: list[tuple[Declared | None, object, object, Any, Any, Reason]] = [
    # Undeclared, where it may mean several things.
    *((None, SHARES, truth, T, (), Reason.UNDECLARED_TRUTH) for truth in (
        ["virginica"], ["2"], "2", 3, -1, 0.5, True, None, {"class": 2}, [0, 1], [0, 1, 1],
        [0, 0, 0, 1], [[0], [0], [1]], 10**400, "", "x" * 257, 2**64,
    )),
    *((None, SHARES, truth, ("1", "2", "3"), (), Reason.UNDECLARED_TRUTH) for truth in (2, "2")),
    (None, SHARES, [0, 0, 1], (), IRIS, Reason.UNDECLARED_TRUTH),
    (None, SHARES, [0, 0, 1], T, IRIS, Reason.UNDECLARED_TRUTH),
    *((None, number, 1, (), (), Reason.UNDECLARED_NUMBER) for number in (
        1, -1, 0.97, [0.97], [[1]], 6.0, "6.0", "1e5", "NaN", "Infinity", "1,5", " 7 ",
        "١٢",
    )),
    *((None, answer, 1, names, (), Reason.UNDECLARED_ANSWER) for answer, names in (
        ([2, 0.93], ("class", "proba")), ([0.85, 0.15, 3.65], ("no", "yes", "eta")),
        ([12.3, 45.6], ()), ([1, 0, 1], ()), ([0, 1.0], ("class", "proba")),
        ([1, 0.0], ("label", "score")), ([-2.0, 3.0], ()), ([0.5, 0.52], ()), ([0.5, "NaN"], ()),
        ({"class": "cat"}, ()), (None, ()), ([], ()), ("", ()), ("  ", ()), ("x" * 257, ()),
        ([["cat"], ["dog"]], ()), (["cat", "dog"], ()), ([10**400, 0], ()),
    )),
    *((None, "cat", truth, (), (), Reason.UNDECLARED_TRUTH) for truth in (
        2, True, "2", "Cat", " cat", "c_a-t", "unknown", "N/A", "none", "?", "NaN", [1, 0], "",
    )),
    (None, "é", "e\u0301", (), (), Reason.UNDECLARED_TRUTH),
    *((None, "7", truth, (), (), Reason.UNDECLARED_TRUTH) for truth in (
        7, "07", "+7", "7.5", "cat", "8.0", "NaN", " 7", "unknown",
    )),
    (None, True, "true", (), (), Reason.UNDECLARED_TRUTH),
    (None, True, 1, (), (), Reason.UNDECLARED_TRUTH),
    (None, "true", True, (), (), Reason.UNDECLARED_TRUTH),
    # Truths that are no class.
    *((FLOWER, SHARES, truth, T, (), Reason.TRUTH_UNKNOWN_CLASS) for truth in (
        -1, 3, 0.5, "unknown", "Virginica", "-1", "", "NaN", True, 10**300, "9" * 300, 2**64,
    )),
    *((FLOWER, SHARES, truth, T, (), Reason.TRUTH_UNREADABLE) for truth in (
        None, [0, 0, 0], [0, 1, 1], SHARES, [1, 2], [], {}, ["a", "b", "c"], [[0, 0], [1, 0]],
        {"a": 1, "b": 0}, {"a": 0, "b": 0, "c": 1}, 10**400, "9" * 500, "1e999", [[0], [0], [1]],
    )),
    (FLOWER, SHARES, [0, 0, 1], T, ("setosa", "virginica", "other"), Reason.TRUTH_UNREADABLE),
    (ODD, SHARES, 2, (), (), Reason.AMBIGUOUS_NUMBER),
    (ODD, SHARES, "2.0", (), (), Reason.AMBIGUOUS_NUMBER),
    ({**ODD, "truth": "name"}, SHARES, "4", (), (), Reason.TRUTH_UNKNOWN_CLASS),
    (CODES, SHARES, 0, (), (), Reason.TRUTH_UNKNOWN_CLASS),
    ({**FLOWER, "truth": "name"}, SHARES, 2, (), (), Reason.TRUTH_UNKNOWN_CLASS),
    ({**FLOWER, "truth": "index"}, SHARES, "virginica", (), (), Reason.TRUTH_UNKNOWN_CLASS),
    ({**SCORE, "truth": "index"}, 0.5, True, (), (), Reason.TRUTH_UNKNOWN_CLASS),
    (SIGN, -1, 0, (), (), Reason.TRUTH_UNKNOWN_CLASS),
    (BIG, 2**53, 2**53 + 2, (), (), Reason.TRUTH_UNKNOWN_CLASS),
    ({"kind": "class", "classes": ["no", "yes"]}, "no", True, (), (), Reason.TRUTH_UNKNOWN_CLASS),
    # Answers that are not what was declared.
    *((FLOWER, answer, 2, (), (), Reason.ANSWER_UNREADABLE) for answer in (
        [0.1, 0.9], [0.1, 0.2, 0.6], [1.1, -0.1, 0], [0.1, 0.2, "NaN"], [0.1, 0.2, None], 0.5,
        "virginica", [], {"a": 0.1, "b": 0.2, "c": 0.7}, [True, False, False], [SHARES, SHARES],
    )),
    (FLOWER, SHARES, 2, ("setosa", "virginica", "other"), (), Reason.ANSWER_UNREADABLE),
    (YES, [2, 0.5], 1, (), (), Reason.ANSWER_UNREADABLE),
    (YES, 1.5, 1, (), (), Reason.ANSWER_UNREADABLE),
    (YES, [0, 1.0], 1, ("class", "proba"), (), Reason.ANSWER_UNREADABLE),
    ({"kind": "class", "classes": ["a", "b"]}, [1, 0.93], 0, ("class", "proba"), (),
     Reason.ANSWER_UNREADABLE),
    (ONE_OF, [1, 0.93], 2, (), (), Reason.ANSWER_UNREADABLE),
    (ONE_OF, ["a", "b", "c"], 2, (), (), Reason.ANSWER_UNREADABLE),
    (ONE_OF, "rosa", 2, (), (), Reason.ANSWER_UNKNOWN_CLASS),
    (ONE_OF, -1, 2, (), (), Reason.ANSWER_UNKNOWN_CLASS),
    (ONE_OF, "1e999", 2, (), (), Reason.ANSWER_UNREADABLE),
    (SCORE, [0.1, 0.9], 1, (), (), Reason.ANSWER_UNREADABLE),
    (SCORE, "NaN", 1, (), (), Reason.ANSWER_UNREADABLE),
    (SCORE, True, 1, (), (), Reason.ANSWER_UNREADABLE),
    (COLUMN, [2, 0.93], 2, (), (), Reason.NO_COLUMN),
    (COLUMN, [2, 0.93], 2, ("class", "class"), (), Reason.NO_COLUMN),
    (COLUMN, {"proba": 0.93}, 2, (), (), Reason.NO_COLUMN),
    ({**COLUMN, "column": 2}, [2, 0.93], 2, (), (), Reason.NO_COLUMN),
    ({**COLUMN, "column": 0}, {"0": 2}, 2, (), (), Reason.NO_COLUMN),
    (COLUMN, [2, 0.93], {"proba": 1}, ("class", "proba"), (), Reason.NO_COLUMN),
]  # fmt: skip


@pytest.mark.parametrize(("said", "answer", "truth", "names", "true_names", "reason"), UNSCORABLE)
def test_what_is_not_certain_is_unscorable_and_says_why(
    said: Declared | None,
    answer: object,
    truth: object,
    names: tuple[str, ...],
    true_names: tuple[str, ...],
    reason: Reason,
) -> None:
    assert seen(said, answer, truth, names, true_names) == Verdict("unscorable", reason=reason)


MANY = {"kind": "multilabel", "classes": ["a", "b", "c"]}
AT = {**MANY, "threshold": 0.5}


@pytest.mark.parametrize(
    ("said", "answer", "truth", "names", "predicted", "actual"),
    [
        (MANY, [1, 0, 1], [1, 0, 0], (), "ac", "a"),
        (MANY, [[1, 0, 1]], [[True, False, False]], (), "ac", "a"),
        (MANY, [1, 0, 1], [1, 0, 1], ("c", "b", "a"), "ac", "ac"),
        (MANY, [1, 1, 0], ["c", "b"], ("c", "b", "a"), "bc", "bc"),
        (MANY, {"a": 1, "c": 1, "b": 0}, {"b": 1, "a": 0, "c": 0}, (), "ac", "b"),
        (AT, [0.9, 0.1, 0.5], ["a", "c"], (), "ac", "ac"),
        (AT, [0.49, 0.1, 0.2], [], (), "", ""),
        (MANY, ["a"], "a", (), "a", "a"),
        (MANY, [], ["b", "b"], (), "", "b"),
        ({**MANY, "truth": "index"}, [0, 0, 1], [0, 2], (), "c", "ac"),
        ({**MANY, "answer": "index"}, [2, 0], ["a"], (), "ac", "a"),
        ({**MANY, "classes": [1, 2], "truth": "code"}, [1, 0], [2, 1], (), "1", "12"),
        ({**MANY, "column": "tags"}, [7, ["a", "b"]], ["a"], ("id", "tags"), "ab", "a"),
        ({**MANY, "column": "tags"}, {"tags": ["a"]}, {"tags": ["b"]}, (), "a", "b"),
        ({**MANY, "column": [1, 2, 3]}, [9, 1, 0, 0], [0, 1, 0], (), "a", "b"),
        ({**MANY, "classes": ["a"]}, [1], 0, (), "a", ""),
    ],
)  # fmt: skip
def test_several_labels(
    said: Declared,
    answer: object,
    truth: object,
    names: tuple[str, ...],
    predicted: str,
    actual: str,
) -> None:
    verdict = seen(said, answer, truth, names)
    assert verdict.labels == (frozenset(predicted), frozenset(actual))
    assert verdict.correct is (frozenset(predicted) == frozenset(actual))


@pytest.mark.parametrize(
    ("said", "answer", "truth", "reason"),
    [
        (MANY, [1, 0], [1, 0, 0], Reason.ANSWER_UNREADABLE),
        (MANY, [0.9, 0, 0], [1, 0, 0], Reason.ANSWER_UNREADABLE),
        (MANY, ["a", "z"], ["a"], Reason.ANSWER_UNKNOWN_CLASS),
        (MANY, ["1", "0", "1"], ["a"], Reason.AMBIGUOUS_NUMBER),
        (MANY, ["a", 0, 1], ["a"], Reason.ANSWER_UNREADABLE),
        (MANY, {"a": 1, "b": 0}, ["a"], Reason.ANSWER_UNREADABLE),
        (AT, [1, 0, 1], [0.9, 0, 0], Reason.TRUTH_UNREADABLE),
        (MANY, ["a"], ["zzz"], Reason.TRUTH_UNKNOWN_CLASS),
        (MANY, ["a"], [1, 0], Reason.TRUTH_UNREADABLE),
        (MANY, ["a"], None, Reason.TRUTH_UNREADABLE),
        ({**MANY, "truth": "index"}, ["a"], [3], Reason.TRUTH_UNKNOWN_CLASS),
        (None, [1, 0, 1], [1, 0, 0], Reason.UNDECLARED_ANSWER),
        (None, ["a", "b"], ["a"], Reason.UNDECLARED_ANSWER),
    ],
)
def test_several_labels_that_cannot_be_read(
    said: Declared | None, answer: object, truth: object, reason: Reason
) -> None:
    assert seen(said, answer, truth) == Verdict("unscorable", reason=reason)


RATE = {"kind": "regression"}


@pytest.mark.parametrize(
    ("said", "answer", "truth", "names", "true_names", "error"),
    [
        (RATE, 6.0, 7.0, (), (), -1.0),
        (RATE, [[6.0]], ["7"], (), (), -1.0),
        (RATE, "6.5", 7, (), (), -0.5),
        (RATE, [12.0, 45.0], [13.0, 47.0], (), (), -1.5),
        (RATE, {"price": 6}, {"price": 7}, (), (), -1.0),
        (RATE, {"x": 1, "y": 2}, {"y": 2, "x": 1}, (), (), 0.0),
        ({**RATE, "column": 1}, [12.0, 45.0], [99.0, 47.0], (), (), -2.0),
        ({**RATE, "column": 1}, [12.0, 45.0], 47.0, (), (), -2.0),
        ({**RATE, "column": "quality"}, [12.0, 45.0], 47, ("x", "quality"), (), -2.0),
        ({**RATE, "column": "quality"}, [12.0, 45.0], [47, 9], ("x", "quality"), ("quality", "x"),
         -2.0),
        ({**RATE, "column": ["x", "y"]}, [3, 1, 2], [2, 1], ("z", "x", "y"), ("y", "x"), 0.0),
        ({**RATE, "column": ["x", "y"]}, [3, 1, 2], [1, 2], ("z", "x", "y"), (), 0.0),
        ({**RATE, "column": ["x", "y"]}, {"x": 1, "y": 2}, {"x": 2, "y": 2}, (), (), -0.5),
    ],
)  # fmt: skip
def test_measures(
    said: Declared,
    answer: object,
    truth: object,
    names: tuple[str, ...],
    true_names: tuple[str, ...],
    error: float,
) -> None:
    verdict = seen(said, answer, truth, names, true_names)
    assert (verdict.state, verdict.sums.get("error")) == ("scored", error)


@pytest.mark.parametrize(
    ("answer", "truth", "reason"),
    [
        (True, 1, Reason.ANSWER_UNREADABLE),
        (None, 1, Reason.ANSWER_UNREADABLE),
        ([], 1, Reason.ANSWER_UNREADABLE),
        ([[1, 2], [3, 4]], 1, Reason.ANSWER_UNREADABLE),
        ("six", 1, Reason.ANSWER_UNREADABLE),
        (1, "six", Reason.TRUTH_UNREADABLE),
        (1, "", Reason.TRUTH_UNREADABLE),
        (1, "1e999", Reason.TRUTH_UNREADABLE),
        ({}, 1, Reason.ANSWER_UNREADABLE),
    ],
)
def test_measures_that_cannot_be_read(answer: object, truth: object, reason: Reason) -> None:
    assert seen(RATE, answer, truth) == Verdict("unscorable", reason=reason)


def test_there_is_advice_for_every_reason() -> None:
    assert ADVICE.keys() == set(REASONS)
    assert all(": " in sentence for sentence in ADVICE.values())


def test_what_states_nothing_states_only_why() -> None:
    assert read_answer(None, None) == Said(reason=Reason.UNDECLARED_ANSWER)
