"""The verdict on one row, from what is declared, answered and true."""

from collections.abc import Mapping
from typing import Any

from closedloop.loop.output import read_output
from closedloop.loop.scoring.reading import read_answer, read_truth
from closedloop.loop.scoring.verdict import Verdict, judge

Declared = Mapping[str, Any]

IRIS = ("setosa", "versicolor", "virginica")
SHARES = [0.1, 0.2, 0.7]


def seen(
    said: Declared | None,
    answer: object,
    truth: object,
    names: tuple[str, ...] = (),
    true_names: tuple[str, ...] = (),
) -> Verdict:
    declared = None if said is None else read_output(said)
    return judge(
        declared,
        read_answer(declared, answer, names),
        read_truth(declared, truth, true_names),
        None,
    )


FLOWER = {"kind": "probabilities", "classes": [*IRIS]}
